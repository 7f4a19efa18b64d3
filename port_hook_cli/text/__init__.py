"""Text for people: made safe for a terminal, laid out, with secrets masked. Pure."""
