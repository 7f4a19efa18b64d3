"""A local simulation of Port. It has Port's API for actions, runs, entities and the agent, and sends invocations.

Its limits are in docs/reference/sandbox.md: one organization with fixed users, no permissions or automations, and
no invocation method but WEBHOOK. Where Port's reference has no error message, the sandbox has its own.
"""

from __future__ import annotations

from port_hook_cli.sandbox.delivering import Sending
from port_hook_cli.sandbox.events import ApiEvent, RunEvent
from port_hook_cli.sandbox.invocations import Asked, RequestMaker, SandboxRequest
from port_hook_cli.sandbox.limits import ApiRules, CallRate
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.server import EventHandlers, Sandbox
from port_hook_cli.sandbox.state import InitialData

__all__ = [
    "ApiEvent",
    "ApiRules",
    "Asked",
    "CallRate",
    "EventHandlers",
    "InitialData",
    "RequestMaker",
    "RunEvent",
    "Sandbox",
    "SandboxRequest",
    "SandboxRun",
    "Sending",
]
