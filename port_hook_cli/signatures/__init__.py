"""Sign requests, verify signatures, and explain why one does not match. Pure."""
