"""Sign requests, verify signatures, and explain why a signature does not match. This package is pure."""
