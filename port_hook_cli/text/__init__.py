"""Text for people: safe for a terminal, laid out, and with secrets masked. Pure."""
