"""What the shell offers for the values of arguments and options. Each function returns quickly and raises nothing."""

from __future__ import annotations

import re

import typer

from port_hook_cli.errors import PortHookError
from port_hook_cli.runtime import system_runtime

_MAX_OFFERED = 50
# Only what no shell could read as anything but a word: the store may come from a stranger.
_CAPTURE_ID = re.compile(r"[0-9a-f]{1,32}")


def complete_capture(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return `last` and the ids of the newest captures in the store of this folder, or in the one of `--store`."""
    from port_hook_cli.captures.store import open_store

    try:
        runtime = ctx.find_root().obj or system_runtime()
        with open_store(ctx.params.get("store"), runtime.cwd, show_only=True) as store:
            ids = [exchange.invocation.id for exchange in store.find(limit=_MAX_OFFERED)]
    except (PortHookError, OSError):
        ids = []
    safe = [name for name in ids if _CAPTURE_ID.fullmatch(name)]
    return [name for name in ("last", *safe) if name.startswith(incomplete)]


def complete_tunnel(incomplete: str) -> list[str]:
    """Return the names of tunnels that are complete as they are."""
    from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL, PROVIDERS

    names = [AUTO.name, NO_TUNNEL.name, *(value for row in PROVIDERS for value in row.values)]
    return [name for name in names if re.fullmatch(r"[a-z.]+", name) and name.startswith(incomplete)]


def complete_export_format(incomplete: str) -> list[str]:
    """Return the names of the formats of `export`."""
    from port_hook_cli.captures.exports import EXPORT_FORMATS

    return [row.name for row in EXPORT_FORMATS if row.name.startswith(incomplete)]
