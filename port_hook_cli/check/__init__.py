"""`check`: sends valid, forged, repeated and broken requests to a handler, and finds the handler's mistakes."""
