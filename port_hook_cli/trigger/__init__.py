"""`trigger`: the request of an action's run made as Port makes it, sent, and followed."""
