"""Workflows in the sandbox: their definitions, runs and node runs, the API calls about them, and how runs proceed."""
