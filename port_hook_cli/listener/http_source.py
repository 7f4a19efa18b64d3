"""The HTTP source opens the listener's socket first, and then imports its server.

Importing aiohttp takes longer than everything else that `listen` does before it is ready. During the import, the
operating system accepts connections. The server responds to these connections after the import.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import ListenError
from port_hook_cli.http.servers import affordable_connections, describe_owner, stop_accepting
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.invocations.targets import is_loopback
from port_hook_cli.listener import responses

if TYPE_CHECKING:
    from port_hook_cli.listener.server import HttpServer

MAX_CONNECTIONS = 1_024
_MOST_PORTS = 100
_GREETING_S = 1.0
_MOST_GREETING = 4_096


class HttpSource:
    """A socket whose requests become invocations. See `port_hook_cli.invocations.source.Source`.

    `options` are passed on to `HttpServer`.
    """

    def __init__(self, context: SourceContext, *, max_connections: int = MAX_CONNECTIONS, **options: Any) -> None:
        self._context = context
        self._options = options
        self.is_on_loopback = True
        self._max_connections = max_connections
        self._server: HttpServer | None = None
        self._sockets: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen on `host`:`port` (0: any free port), and return the actual address and port. Raises ListenError."""
        loop = asyncio.get_running_loop()
        self._max_connections = affordable_connections(self._max_connections)
        try:
            self._sockets = await loop.create_server(self._connect, host, port, backlog=128)
        except OSError as error:
            raise cannot_listen(host, port, error) from None
        except UnicodeError:
            raise ListenError(f"{host!r} is not a host name.", hint="Check --host.") from None
        addresses = [socket.getsockname() for socket in self._sockets.sockets]
        self.is_on_loopback = all(is_loopback(str(address[0])) for address in addresses)
        address = addresses[0]
        return str(address[0]), int(address[1])

    async def start_at_next_port(self, host: str, port: int) -> tuple[str, int]:
        """Listen on `port`, or on the next free port if another listener has `port`. Raises ListenError."""
        try:
            return await self.start(host, port)
        except ListenError:
            if not await _is_listener(host, port):
                raise
            for other in range(port + 1, port + _MOST_PORTS):
                with contextlib.suppress(ListenError):
                    return await self.start(host, other)
            raise

    def prepare(self) -> HttpServer:
        """Import the server and return it. Without this call, the first connection waits for the import."""
        if self._server is None:
            from port_hook_cli.listener.server import HttpServer

            self._server = HttpServer(
                self._context,
                max_connections=self._max_connections,
                checks_host=lambda: self.is_on_loopback,
                **self._options,
            )
        return self._server

    def _connect(self) -> asyncio.BaseProtocol:
        return self.prepare().connect()

    async def close(self, drain_s: float) -> None:
        """Stop accepting connections, give requests in progress `drain_s` seconds, and close every connection."""
        if self._sockets is not None:
            await stop_accepting(self._sockets)
        if self._server is not None:
            await self._server.close(drain_s)


async def _is_listener(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_GREETING_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(
                    f"GET {responses.GREETING_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
                )
                return responses.GREETING in await reader.read(_MOST_GREETING)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def cannot_listen(host: str, port: int, error: OSError) -> ListenError:
    """Return the error for a server that could not bind `host`:`port`."""
    if error.errno == errno.EADDRINUSE:
        owner = describe_owner(host, port)
        by = f" by {owner}" if owner else ""
        return ListenError(
            f"Port {port} on {host} is already in use{by}.",
            hint="Choose another with --port, or --port 0 for any free port.",
        )
    if error.errno == errno.EACCES:
        return ListenError(
            f"You have no permission to listen on port {port}.", hint="Choose a port above 1023, such as --port 8787."
        )
    return ListenError(f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint="Check --host and --port.")
