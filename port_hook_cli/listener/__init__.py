"""The listener, which receives, verifies and forwards requests, and responds to them."""
