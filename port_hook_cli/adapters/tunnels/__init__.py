"""Tunnels, one module each, imported only when used."""
