"""Actions and automations: what they declare, their inputs and templates, and the request that they make. Pure."""
