"""A local stand-in of Port's side: its API for actions, runs, entities and the agent, and the sender of invocations.

Its limits, which docs/reference/sandbox.md tells in full: one organization and one user, no blueprints, permissions or
workflows, no automations, no invocation methods but WEBHOOK, and words of its own where Port's reference gives none.
"""

from __future__ import annotations

from port_hook_cli.sandbox.delivering import Sending
from port_hook_cli.sandbox.invoking import Asked, RequestMaker, SandboxRequest
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.server import Sandbox
from port_hook_cli.sandbox.state import ApiEvent, RunEvent

__all__ = [
    "ApiEvent",
    "Asked",
    "RequestMaker",
    "RunEvent",
    "Sandbox",
    "SandboxRequest",
    "SandboxRun",
    "Sending",
]
