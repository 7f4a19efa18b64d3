"""ngrok tunnels, through pyngrok."""
