"""Tells a sandbox on this machine what `trigger --to` sends, so that the run it makes up has an action and inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from port_hook_cli.errors import PortHookError
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runs.urls import is_loopback_url
from port_hook_cli.runtime import Runtime

_PATH = "/v1/sandbox/deliveries"
_TIMEOUT_S = 2.0


async def tell_sandbox(delivery: Mapping[str, Any], settings: Settings, runtime: Runtime) -> None:
    """Send a delivery to the sandbox, once, if the settings lead to one. It is only a service: no failure is raised."""
    if settings.client_id is None or settings.client_secret is None or not is_loopback_url(settings.api_url):
        return
    with contextlib.suppress(PortHookError):
        async with open_port_api(settings, runtime, timeout_s=_TIMEOUT_S, retries=False) as api:
            await api.call("POST", _PATH, delivery)
