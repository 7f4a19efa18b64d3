"""Port's workflows as values: the graph of nodes, what a node's templates see, and what its outcome means."""
