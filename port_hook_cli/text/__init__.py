"""Text for people: safe for a terminal, laid out, and with secrets masked. This package is pure."""
