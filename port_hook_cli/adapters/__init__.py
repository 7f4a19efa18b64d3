"""Everything that touches the world, one library each."""
