"""The `agent` command, which predicts what the execution agent does with messages, and does it on request."""
