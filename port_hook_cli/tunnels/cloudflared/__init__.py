"""Cloudflare quick tunnels, through the `cloudflared` program."""
