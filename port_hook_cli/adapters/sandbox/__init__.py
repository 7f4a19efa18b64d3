"""A local stand-in of Port's API: tokens, action runs, workflow node runs, their logs, and Port's errors.

Its limits: it starts no actions, keeps everything in memory, knows no approvals, entities, users or rate limits,
and its words differ from Port's where the reference gives none.
"""

from __future__ import annotations

from port_hook_cli.adapters.sandbox.server import Sandbox
from port_hook_cli.adapters.sandbox.state import ApiEvent, SandboxRun

__all__ = ["ApiEvent", "Sandbox", "SandboxRun"]
