"""Quick tunnels of Cloudflare, through the `cloudflared` program."""
