"""Tunnels, one module each, imported only when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from port_hook_cli.errors import UsageError


class TunnelKind(StrEnum):
    """The values of `--tunnel`."""

    NONE = "none"
    NGROK = "ngrok"


class Tunnel(Protocol):
    """A public URL whose requests reach a local server for as long as the tunnel is open."""

    @property
    def url(self) -> str:
        """The public URL, without a slash at its end."""
        ...

    async def lost(self) -> str:
        """Wait until the tunnel ends without having been closed; return what happened, as one printable sentence."""
        ...

    async def close(self) -> None:
        """End the tunnel and everything it started, within seconds. May be called twice."""
        ...


async def open_tunnel(
    kind: TunnelKind,
    local_url: str,
    *,
    environ: Mapping[str, str],
    home: Path,
    notice: Callable[[str], None],
    timeout_s: float = 20,
) -> Tunnel:
    """Open a tunnel of this kind to `local_url` (as `http://127.0.0.1:PORT`).

    `notice` is called with a sentence for stderr when something unusual takes its time, such as a download.
    Raises `TunnelError` when the tunnel is not open after `timeout_s` seconds or cannot be, `UsageError` for
    `TunnelKind.NONE`.
    """
    match kind:
        case TunnelKind.NGROK:
            from port_hook_cli.adapters.tunnels.ngrok import open_ngrok

            return await open_ngrok(local_url, environ=environ, home=home, notice=notice, timeout_s=timeout_s)
        case TunnelKind.NONE:
            raise UsageError("There is no tunnel to open.", hint="Choose one with `--tunnel`.")
