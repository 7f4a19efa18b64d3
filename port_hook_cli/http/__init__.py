"""HTTP on the wire: the client that sends requests unchanged, and what the servers share."""
