"""Opens the inspector. Its socket on loopback accepts connections before its HTTP server is imported."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from port_hook_cli.errors import ListenError
from port_hook_cli.frozen import frozen
from port_hook_cli.http import servers
from port_hook_cli.inspector.door import Door, InspectorAddress

if TYPE_CHECKING:
    from aiohttp import web

    from port_hook_cli.inspector.api import Inspector

HOST = "127.0.0.1"
MAX_CONNECTIONS = 100
"""The maximum number of concurrent connections. A browser opens six connections.

More connections would use up the listener's file descriptors.
"""


@frozen
class OpenInspector:
    """A running inspector. The URL of the page changes when the token is replaced."""

    port: int
    door: Door = field(repr=False)

    @property
    def address(self) -> InspectorAddress:
        """The token and the port."""
        return InspectorAddress(self.door.token, self.port)

    @property
    def url(self) -> str:
        """The URL of the page, with the token."""
        return f"http://{HOST}:{self.port}{self.door.page}"

    def url_for_once(self) -> str:
        """Return a URL that opens the page once, within 60 seconds, and that doesn't contain the token."""
        return f"http://{HOST}:{self.port}{self.door.once()}"


@asynccontextmanager
async def serving(
    inspector: Inspector, *, port: int = 0, remembered: InspectorAddress | None = None
) -> AsyncIterator[OpenInspector]:
    """Serve the page on loopback until the context ends. Raises ListenError.

    Port 0 means the remembered port. If that port is taken, it means any other port. The remembered token is used only
    on the remembered port, because an open page may have sent the token to the program that has taken the port.
    """
    wanted = remembered if remembered is not None and port in {0, remembered.port} else None
    if wanted is not None:
        try:
            async with _serving(inspector, wanted.token, wanted.port) as running:
                yield running
        except _PortTaken:
            if port:
                raise
        else:
            return
    async with _serving(inspector, secrets.token_urlsafe(32), port) as running:
        yield running


class _PortTaken(ListenError):
    """The port cannot be used."""


@asynccontextmanager
async def _serving(inspector: Inspector, token: str, port: int) -> AsyncIterator[OpenInspector]:
    door = Door(token)

    def runner() -> web.AppRunner:
        from port_hook_cli.inspector.server import runner

        return runner(inspector, door)

    try:
        sockets = servers.listening_sockets(HOST, port)
    except OSError as error:
        raise _PortTaken(
            f"The inspector cannot listen on port {port}: {error.strerror or error}.",
            hint="Choose another port, or omit the option to use any free port.",
        ) from error
    bound = int(sockets[0].getsockname()[1])
    inspector.own_ports = frozenset({bound})
    async with servers.serving(sockets, runner, most=MAX_CONNECTIONS):
        yield OpenInspector(bound, door)
