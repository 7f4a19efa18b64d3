"""`trigger`: makes and sends the request of an action's run as Port does, or follows a run in Port."""
