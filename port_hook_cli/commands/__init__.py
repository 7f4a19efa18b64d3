"""One command a file: read options, build adapters, call a flow, return an exit code."""
