"""Actions and automations: what they declare, their inputs and templates, and the requests that they make. Pure."""
