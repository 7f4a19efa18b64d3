"""`replay`: where a request comes from, how it is changed, and how often it is sent."""
