"""`replay`: where a request comes from, how port-hook changes it, and how often port-hook sends it."""
