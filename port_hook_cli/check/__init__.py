"""`check`: sends valid, forged, repeated and broken requests to a handler, and finds its mistakes."""
