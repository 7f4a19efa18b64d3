"""The listener: a request's life from the socket through verification and forwarding to the response."""
