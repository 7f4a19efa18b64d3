"""Which tunnels could be opened on this machine without asking anybody for more: what `--tunnel auto` tries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from port_hook_cli.errors import TunnelError
from port_hook_cli.tunnels.choice import TunnelChoice, TunnelKind
from port_hook_cli.tunnels.ngrok.files import find_agent, find_config

SSH_SERVICE = "localhost.run"
"""The service that `auto` takes: it needs no account and answers by https."""


def usable_tunnels(environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Iterator[tuple[TunnelChoice, str]]:
    """Yield what is usable, the best first, each with the reason why, as a clause. Opens and downloads nothing.

    `can_ask` says that somebody could say yes to the key of a server that is not known yet.
    """
    if reason := _ngrok(environ, home):
        yield TunnelChoice(TunnelKind.NGROK), reason
    if program := shutil.which("cloudflared", path=environ.get("PATH", os.defpath)):
        yield TunnelChoice(TunnelKind.CLOUDFLARED), f"{program} is there"
    if find_spec("asyncssh") and (can_ask or knows_ssh_service(home)):
        yield TunnelChoice(TunnelKind.SSH, SSH_SERVICE), "the ssh extra is installed"


def knows_ssh_service(home: Path) -> bool:
    """Return whether OpenSSH or port-hook has noted a key of the service under its plain name."""
    for folder in (".port-hook", ".ssh"):
        with suppress(OSError):
            if SSH_SERVICE.encode() in (home / folder / "known_hosts").read_bytes():
                return True
    return False


def _ngrok(environ: Mapping[str, str], home: Path) -> str:
    """Return why ngrok is usable, or "". An agent must be there: nobody asked for a download."""
    with suppress(TunnelError):
        if find_agent(environ, home) is None:
            return ""
        if environ.get("NGROK_AUTHTOKEN", "").strip():
            return "NGROK_AUTHTOKEN is set"
        if config := find_config(environ, home):
            return f"{config} is there"
    return ""
