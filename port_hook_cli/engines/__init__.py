"""jq, JSON Schema and cryptography: the libraries that render templates, and check and encrypt inputs."""
