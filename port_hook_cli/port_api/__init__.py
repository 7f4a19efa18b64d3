"""Port's API: the client, its retries, and its settings."""
