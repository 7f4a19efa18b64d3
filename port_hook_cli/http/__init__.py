"""HTTP on the wire: the client that sends requests unchanged, and the parts that the servers share."""
