"""Tunnels to a public URL: one folder per provider, one registry row each; libraries load only when used."""
