"""Shell completion: what a Tab offers. It imports no command and no typer, so that it is quick."""
