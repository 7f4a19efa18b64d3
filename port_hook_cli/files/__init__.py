"""Files that a user passes: input, JSON and YAML documents, templates, `.env` files."""
