"""The `trigger` command: it makes and sends the same request as Port for an action run, or follows a run in Port."""
