"""Opening the tunnel that was chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pkgutil import resolve_name

from port_hook_cli.errors import UsageError
from port_hook_cli.tunnels.protocol import Opening, Tunnel
from port_hook_cli.tunnels.registry import TunnelChoice, find_provider


async def open_tunnel(choice: TunnelChoice, opening: Opening) -> Tunnel:
    """Open the chosen tunnel; raises TunnelError when it does not open in time, UsageError for a choice without one."""
    provider = find_provider(choice)
    if provider is None:
        raise UsageError(f"--tunnel {choice.name} does not name a tunnel to open.", hint="Name one with `--tunnel`.")
    open_: Callable[[Opening], Awaitable[Tunnel]] = resolve_name(provider.opener)
    return await open_(replace(opening, address=choice.address))
