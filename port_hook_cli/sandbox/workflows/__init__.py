"""Workflows in the sandbox: what it holds of them, the calls about them and their node runs, and their walks."""
