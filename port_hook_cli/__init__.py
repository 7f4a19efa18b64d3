"""port-hook: a webhook debugger for Port's self-service actions."""

from __future__ import annotations

__version__ = "0.1.0"
