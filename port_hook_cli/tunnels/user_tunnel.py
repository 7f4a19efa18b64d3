"""The public URL of a tunnel that the user runs: it is probed, but never opened or closed."""

from __future__ import annotations

import asyncio

from port_hook_cli.tunnels.connectivity import ProbeResult
from port_hook_cli.tunnels.prober import probe


class UserTunnel:
    """A tunnel that the user runs; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def health(self) -> str:
        """Return "": only a probe can tell whether the tunnel works."""
        return ""

    async def probe(self, path: str, token: str) -> ProbeResult:
        """Request `path` through the public URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait indefinitely: port-hook cannot notice that the tunnel ends."""
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        """Do nothing: the tunnel is the user's."""
