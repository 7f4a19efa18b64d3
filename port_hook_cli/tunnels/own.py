"""A public URL that the user looks after: it is asked, never opened or closed."""

from __future__ import annotations

import asyncio

from port_hook_cli.tunnels.connectivity import Probing
from port_hook_cli.tunnels.prober import probe


class OwnUrl:
    """The user's own way to the listener; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def health(self) -> str:
        """Return "": nothing is known but what a probe finds."""
        return ""

    async def probe(self, path: str, token: str) -> Probing:
        """Ask the listener for `path` through the URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait for ever: what is not ours does not end for us."""
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        """Leave it as it is."""
