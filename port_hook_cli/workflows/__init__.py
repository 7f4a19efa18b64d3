"""Port's workflows as values: the graph of nodes, the data for templates, and the meaning of a node's outcome."""
