"""Retargets actions and workflow nodes to a listener and restores them: the journal, the steps, and their messages."""
