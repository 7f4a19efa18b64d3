"""Why the agent sends nothing: an exception that it raises."""

from __future__ import annotations


class AgentFault(Exception):
    """The agent raises an exception. The message is what its log shows, which begins with the exception's name."""


class AgentStopped(Exception):
    """The agent's process crashes or hangs. The message says which of the two, and the expression that causes it."""
