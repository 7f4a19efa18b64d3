"""An open store for readers that search, filter and count captures."""
