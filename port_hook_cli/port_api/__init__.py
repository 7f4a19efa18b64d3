"""Port's API: the client, its retries, and the settings that it takes."""
