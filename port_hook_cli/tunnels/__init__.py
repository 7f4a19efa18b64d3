"""Tunnels to a public URL: one folder per provider, one registry row each. Libraries are imported only when used."""
