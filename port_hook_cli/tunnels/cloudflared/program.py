"""Find the user's cloudflared program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from port_hook_cli.programs import find_program
from port_hook_cli.tunnels.protocol import NotUsable, Usable


def find_cloudflared(environ: Mapping[str, str]) -> str | None:
    """Return the path of cloudflared on PATH, or None."""
    return find_program("cloudflared", environ)


def check_usable(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return why `--tunnel auto` can use cloudflared, or why not."""
    del home, can_ask
    program = find_cloudflared(environ)
    return Usable(f"{program} is installed") if program else NotUsable("cloudflared is not on PATH")
