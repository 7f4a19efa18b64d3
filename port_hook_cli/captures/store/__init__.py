"""The store as commands read it and listeners write it."""
