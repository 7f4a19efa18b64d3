"""An index over the store, for readers that search, filter and count captures."""
