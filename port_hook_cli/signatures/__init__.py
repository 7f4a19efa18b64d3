"""Sign requests, verify signatures, and explain why a signature does not match. Pure."""
