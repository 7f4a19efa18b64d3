"""Runs: their IDs, their pages, and reports on them. This package is pure."""
