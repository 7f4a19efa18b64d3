"""The features of port-hook, and what each adds to its core. `registry.py` reads this folder."""

from __future__ import annotations

NAMES = ("port", "sandbox", "check", "inspector", "agent", "retarget", "mcp", "doctor")
"""The features. A feature may add a command after a command of an earlier one."""
