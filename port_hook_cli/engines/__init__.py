"""jq, JSON Schema and cryptography: the libraries that render templates, check inputs and encrypt them."""
