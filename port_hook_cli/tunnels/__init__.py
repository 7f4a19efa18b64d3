"""Tunnels to a public URL. Each provider has one package and one row in the registry.

Libraries are imported only when used.
"""
