"""Workflows in the sandbox: their definitions, their runs, the runs of their nodes, and what walks them."""
