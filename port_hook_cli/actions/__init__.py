"""Actions and automations: their declarations, inputs and templates, and the requests that they send.

This package is pure.
"""
