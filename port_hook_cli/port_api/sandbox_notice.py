"""Tells a sandbox on this machine what is sent to a handler, for commands without a `PortAccess`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from port_hook_cli.port_api.access import DELIVERIES, PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime

__all__ = ["DELIVERIES", "tell_sandbox"]


async def tell_sandbox(deliveries: Sequence[Mapping[str, Any]], settings: Settings, runtime: Runtime) -> None:
    """Send deliveries to the sandbox, if the settings lead to one; see `PortAccess.announce`."""
    await PortAccess.known(settings, runtime).announce(deliveries)
