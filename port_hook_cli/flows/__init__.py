"""What a command means, in terms of small protocols; no library is imported here."""
