"""The store's database: its files, tables and rows, and how port-hook opens a connection to it."""
