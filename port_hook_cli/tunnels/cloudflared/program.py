"""Find the user's cloudflared program."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from port_hook_cli.tunnels.protocol import NotUsable, Usable


def find_program(environ: Mapping[str, str]) -> str | None:
    """Return the path of cloudflared on PATH, or None."""
    return shutil.which("cloudflared", path=environ.get("PATH", os.defpath))


def check_usable(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return why `--tunnel auto` can use cloudflared, or why not."""
    del home, can_ask
    program = find_program(environ)
    return Usable(f"{program} is installed") if program else NotUsable("cloudflared is not on PATH")
