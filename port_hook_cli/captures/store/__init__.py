"""The capture store: listeners write to it, and commands read from it."""
