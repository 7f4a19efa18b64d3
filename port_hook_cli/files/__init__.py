"""Files that a user passes to a command: input, JSON and YAML documents, templates, and `.env` files."""
