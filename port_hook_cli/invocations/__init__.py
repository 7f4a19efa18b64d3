"""The values that flow through port-hook, and the code that reads payloads. This package is pure."""
