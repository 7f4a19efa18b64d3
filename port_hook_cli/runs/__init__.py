"""Runs: their state in Port, their IDs and pages, and reports on them. This package is pure."""
