"""A local stand-in of Port's API: tokens, actions, action runs, workflow node runs, their logs, and Port's errors.

Its limits: it starts no actions, looks into no triggers and no invocation methods but WEBHOOK, keeps everything in
memory, knows no approvals, entities, users, permissions or rate limits, and its words differ from Port's where the
reference gives none.
"""

from __future__ import annotations

from port_hook_cli.adapters.sandbox.server import Sandbox
from port_hook_cli.adapters.sandbox.state import ApiEvent, SandboxRun

__all__ = ["ApiEvent", "Sandbox", "SandboxRun"]
