"""Shell completion. To be fast, it imports neither a command nor typer."""
