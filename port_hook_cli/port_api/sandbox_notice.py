"""Tells a sandbox on this machine what is sent to a handler, so that a run it makes up has an action and inputs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from port_hook_cli.errors import PortHookError
from port_hook_cli.invocations.forwarding import is_on_this_machine
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime

DELIVERIES = "/v1/sandbox/deliveries"
_TIMEOUT_S = 2.0


async def tell_sandbox(deliveries: Sequence[Mapping[str, Any]], settings: Settings, runtime: Runtime) -> None:
    """Send deliveries to the sandbox, if the settings lead to one: once each, within 2 seconds together.

    It is only a service: no failure is raised, and the first one ends it.
    """
    if settings.client_id is None or settings.client_secret is None or not is_on_this_machine(settings.api_url):
        return
    if not deliveries:
        return
    with contextlib.suppress(PortHookError, TimeoutError):
        async with (
            asyncio.timeout(_TIMEOUT_S),
            open_port_api(settings, runtime, timeout_s=_TIMEOUT_S, retries=False) as api,
        ):
            for delivery in deliveries:
                await api.call("POST", DELIVERIES, delivery)
