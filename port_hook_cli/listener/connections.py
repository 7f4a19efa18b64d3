"""The listener's connections, below aiohttp's application layer, and how responses are written to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from aiohttp import web
from aiohttp.http import HttpRequestParser

from port_hook_cli.http.request_parser import RequestParser
from port_hook_cli.http.servers import Room
from port_hook_cli.invocations.forwarding import fields_with_length
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.statuses import reason_phrase
from port_hook_cli.listener import responses

# The limit for one header, and for all headers of a request together, which also bounds the number of headers. Port's
# own headers are small. A proxy may add long headers (tokens, traces), and a debugger should show them.
_MOST_HEADER_BYTES = 256 * 1024
_PARSING: dict[str, Any] = {
    "auto_decompress": False,
    "max_line_size": _MOST_HEADER_BYTES,
    "max_field_size": _MOST_HEADER_BYTES,
    "max_headers": _MOST_HEADER_BYTES,
}
# aiohttp buffers up to twice this amount of unread body data for each connection.
_BUFFERED_BYTES = 64 * 1024
_NO_BODY = frozenset({204, 304})


class Server(web.Server):
    """aiohttp's server, except that it reports malformed requests to the terminal instead of the log.

    The server has at most `limit` connections. At the limit, a new connection replaces the oldest idle connection. If
    no connection is idle, the new client gets a 503 and is disconnected. `crowded` is called once for each period in
    which this happens. The server closes a connection if the head of the connection's first request hasn't arrived
    after `first_head_timeout_s` seconds.
    """

    def __init__(
        self,
        serve: Any,
        notice: Callable[[str], None],
        *,
        limit: int,
        crowded: Callable[[], None],
        first_head_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(serve)
        self._options = options
        self._tell = notice
        self._limit = limit
        self._room = Room(limit, first_wait_s=first_head_timeout_s)
        self._crowded = crowded
        self._first_head_timeout_s = first_head_timeout_s
        self._is_crowded = False

    def __call__(self) -> Any:
        """Return the protocol for a new connection."""
        connections = self.connections
        if self._room.admits(connections):
            self._is_crowded = self._is_crowded and len(connections) > self._limit // 2
            return ServerConnection(
                self,
                self._tell,
                self._first_head_timeout_s,
                loop=asyncio.get_running_loop(),
                **self._options,
            )
        if not self._is_crowded:
            self._is_crowded = True
            self._crowded()
        return _RefusingProtocol()


class _RefusingProtocol(asyncio.Protocol):
    """A connection beyond the limit.

    The client gets a response immediately, and the server doesn't read its request.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        response = responses.BUSY
        transport.write(_head(response.status, response.headers, len(response.body), False, False) + response.body)
        transport.close()


class ServerConnection(web.RequestHandler):
    """One connection. `task` serves the latest request of the connection.

    `on_left` is called when the client disconnects or half-closes the connection. The server cannot tell these two
    events apart.
    """

    __slots__ = ("_first_head_timeout_s", "_has_ended", "_tell", "on_left", "task")

    def __init__(
        self,
        server: web.Server,
        tell: Callable[[str], None],
        first_head_timeout_s: float,
        *,
        loop: asyncio.AbstractEventLoop,
        **options: Any,
    ) -> None:
        super().__init__(server, loop=loop, read_bufsize=_BUFFERED_BYTES, **_PARSING, **options)
        # aiohttp has no option for this. Its own parser rejects some headers when they appear twice.
        self._parser: Any = RequestParser(self._parser, self._another_parser, _MOST_HEADER_BYTES)
        self._tell = tell
        self._first_head_timeout_s = first_head_timeout_s
        self._has_ended = False
        self.on_left: Callable[[], None] | None = None
        self.task: asyncio.Task[Any] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the client has half-closed the connection. The current request is then its last request."""
        return self._has_ended and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer for the first request, which is shorter than aiohttp's timer for later requests."""
        super().connection_made(transport)
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._next_keepalive_close_time = self._loop.time() + self._first_head_timeout_s
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the end of the connection."""
        super().connection_lost(exc)
        self._leave()

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp returns None, asyncio takes a bool
        """Return whether the connection stays open. It stays open while complete requests have no response.

        A client may shut down its sending side and then wait for the response. aiohttp would disconnect this client.
        """
        self._has_ended = True
        self._leave()
        complete = len(self._messages) + (self._waiter is None)
        if self._parser.is_in_body:
            complete -= 1
            if complete > 0:  # otherwise reading the body fails when the connection is closed
                self._parser.break_off(ConnectionResetError("the client stopped sending"))
        return complete > 0

    def _leave(self) -> None:
        if self.on_left is not None:
            self.on_left()

    def _another_parser(self) -> Any:
        return HttpRequestParser(
            self, self._loop, self._read_bufsize, payload_exception=web.RequestPayloadError, **_PARSING
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to malformed HTTP (400), or to a request that failed in port-hook itself (500)."""
        reason = " ".join((message or str(exc) or type(exc).__name__).split())[:200]
        self._tell(f"Responded with {status} to a request from {request.remote or 'unknown'}: {reason}")
        return WireResponse(request, responses.unreadable(status, reason), close=True)


class WireResponse(web.StreamResponse):
    """Writes a `Response` unchanged, with its headers in order and its content length, without additions by aiohttp."""

    def __init__(self, request: web.BaseRequest, response: Response, *, close: bool = False) -> None:
        super().__init__(status=response.status)
        self._request: web.BaseRequest = request
        self._connection = request.protocol
        self._response = response
        self._stays_open = request.keep_alive and not close

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open for another request."""
        # aiohttp asks for this after it has written the response. The client may have closed its side in the meantime.
        connection = self._connection
        return self._stays_open and not (isinstance(connection, ServerConnection) and connection.is_over)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing, because `write_eof` writes the whole response."""

    async def write_eof(self, data: Any = b"") -> None:  # noqa: ARG002 - aiohttp's signature
        """Write the whole response."""
        response, is_head = self._response, self._request.method == "HEAD"
        head = _head(response.status, response.headers, len(response.body), is_head, bool(self.keep_alive))
        has_body = not is_head and response.status not in _NO_BODY
        await self._request.writer.write_eof(head + response.body if has_body else head)


class NoResponse(web.StreamResponse):
    """A response that only closes the connection, without writing anything."""

    @property
    def keep_alive(self) -> bool | None:
        """False, because the connection is closed."""
        return False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing, because there is no response to prepare."""

    async def write_eof(self, data: Any = b"") -> None:
        """Do nothing, because there is no response to write."""


# Most responses of a listener have the same head. Response bodies are not cached.
@lru_cache(maxsize=64)
def _head(status: int, headers: Headers, size: int, is_head: bool, stays_open: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason_phrase(status) or 'Unknown'}"]
    lines.extend(f"{name}: {value}" for name, value in fields_with_length(status, headers, size, is_head=is_head))
    if not stays_open:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace")
