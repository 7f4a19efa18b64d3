"""Port's API: its client, the retries of calls, and the settings that a client needs."""
