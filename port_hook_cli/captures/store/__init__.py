"""The store: listeners write it, commands read it."""
