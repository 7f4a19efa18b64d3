"""The values that flow through port-hook, and how a payload is read. Pure."""
