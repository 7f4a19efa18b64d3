"""Why the agent sends nothing: an exception that it raises."""

from __future__ import annotations


class AgentFault(Exception):
    """The agent raises an exception. The message is what its log shows, which begins with the exception's name."""
