"""SSH tunnels (`ssh -R`), through asyncssh."""
