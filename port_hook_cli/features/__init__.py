"""The features of port-hook, and what each adds to its core. `registry.py` reads this folder."""

from __future__ import annotations

NAMES = ("port", "sandbox", "check", "inspector", "agent", "retarget", "mcp", "doctor")
"""The features. A feature can place its command after an earlier feature's command."""
