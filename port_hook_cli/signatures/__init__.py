"""Signing, verifying, and finding out why a signature does not match. Pure."""
