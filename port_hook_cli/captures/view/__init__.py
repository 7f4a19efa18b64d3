"""Captures on the screen: in a table, in a line, or in full."""
