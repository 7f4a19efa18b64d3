"""Retargets actions and workflow nodes to a listener and restores them: journal, steps, and messages."""
