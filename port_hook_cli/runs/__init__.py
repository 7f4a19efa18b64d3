"""Runs: their ids, what is reported of them, and their pages. Pure."""
