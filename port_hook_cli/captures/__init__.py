"""The capture store: one SQLite file that several listeners may write concurrently."""
