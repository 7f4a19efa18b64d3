"""The command line: the commands, their shared options, and the error boundary."""
