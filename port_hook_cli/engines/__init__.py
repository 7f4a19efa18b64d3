"""jq, JSON Schema and cryptography: the libraries that render, check and encrypt for an action."""
