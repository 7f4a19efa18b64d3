"""Workflows in the sandbox: their definitions, runs and node runs, the calls about them, and the walks of runs."""
