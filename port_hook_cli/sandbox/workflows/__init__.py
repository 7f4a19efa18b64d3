"""Workflows in the sandbox: their definitions and runs, the calls about them and their node runs, and their walks."""
