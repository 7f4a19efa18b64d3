"""`agent`: predicts what the execution agent does with a message or a stream of messages, and does it if asked to."""
