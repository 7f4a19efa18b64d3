"""The database of the store: its files, tables and rows, and how a connection to it is opened."""
