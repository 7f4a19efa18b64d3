"""Views of captures on the screen: as a table, as a line, or in full."""
