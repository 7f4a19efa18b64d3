"""Actions and automations: their declarations, inputs, templates and requests. This package is pure."""
