"""Files that a user names: input, JSON and YAML documents, templates, `.env` files."""
