"""Runs: their IDs, their pages, and reports on them. Pure."""
