"""HTTP on the wire: the clients that send requests unchanged, and what the servers share."""
