"""The capture store: one SQLite file that several listeners can write concurrently."""
