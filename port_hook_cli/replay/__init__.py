"""`replay`: where a request comes from, how it is changed, and the series of sends."""
