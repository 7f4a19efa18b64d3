"""A local simulation of Port. It serves Port's API for actions, runs, entities and the agent, and sends invocations.

docs/reference/sandbox.md describes the limits of the sandbox: it has one organization with fixed users, it has no
permissions or automations, and WEBHOOK is the only invocation method that it supports. Where Port's reference doesn't
specify an error message, the sandbox uses its own.
"""

from __future__ import annotations

from port_hook_cli.sandbox.delivering import Sending
from port_hook_cli.sandbox.events import ApiEvent, RunEvent
from port_hook_cli.sandbox.invocations import RequestMaker
from port_hook_cli.sandbox.limits import ApiRules, CallRate
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.server import EventHandlers, Sandbox
from port_hook_cli.sandbox.state import InitialData

__all__ = [
    "ApiEvent",
    "ApiRules",
    "CallRate",
    "EventHandlers",
    "InitialData",
    "RequestMaker",
    "RunEvent",
    "Sandbox",
    "SandboxRun",
    "Sending",
]
