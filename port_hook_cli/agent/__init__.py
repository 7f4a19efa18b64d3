"""The `port-agent` command, which predicts what the execution agent does with messages, and sends its requests."""
