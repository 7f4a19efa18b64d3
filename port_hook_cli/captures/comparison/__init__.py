"""The differences between two captures: what they are, what is left out, and their text."""
