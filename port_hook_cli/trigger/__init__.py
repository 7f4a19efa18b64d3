"""The `trigger` command, which makes and sends the request of a run like Port, or follows a run in Port."""
