"""`check`: sends a handler valid, forged, old and broken requests, and says which of its reactions are wrong."""
