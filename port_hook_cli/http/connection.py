"""One connection of the client. It connects to the first address that accepts, and serves one request at a time."""

from __future__ import annotations

import asyncio
import select
import ssl
import sys
import time
from collections.abc import Sequence
from typing import Any

from port_hook_cli.http.failures import CannotConnect, ClosedEarly
from port_hook_cli.http.request_writer import Origin
from port_hook_cli.http.response_parser import ResponseParser

# If a host has several addresses, port-hook tries the next address after this time without a connection.
_ADDRESS_TIMEOUT_S = 1.0
_EXPIRY_PAUSE_S = 0.01


class Connection(asyncio.Protocol):
    """An open connection, which `connect` returns. `sent_at` and `received_at` are times of `time.perf_counter`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sent_at = 0.0
        """When the connection began to send the latest request."""
        self.received_at = 0.0
        """When the last byte of the latest response arrived."""
        self.idle_since = 0.0
        self._loop = loop
        self._transport: asyncio.Transport
        self._parser: ResponseParser | None = None
        self._response: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._is_lost = False
        self._poll: Any = None  # a `select.poll` object

    async def send(self, request: bytes, parser: ResponseParser) -> None:
        """Send `request` and let `parser` read the response.

        Raises ClosedEarly, OSError, TimeoutError after `expire`, and the exceptions of `parser`. Each of them closes
        the connection.
        """
        self._parser = parser
        response = self._response = self._loop.create_future()
        self.sent_at = time.perf_counter()
        self._transport.write(request)
        try:
            await response
        except BaseException:
            self.abort()
            raise
        finally:
            self._parser = self._response = None

    async def send_slowly(self, parts: Sequence[bytes], pause_s: float, parser: ResponseParser) -> None:
        """Send the request like `send`, but in parts, with pauses of `pause_s` seconds between the parts.

        After the response, the remaining parts are not sent.
        """
        writing = self._loop.create_task(self._write_slowly(parts[1:], pause_s))
        try:
            await self.send(parts[0], parser)
        finally:
            writing.cancel()

    async def _write_slowly(self, parts: Sequence[bytes], pause_s: float) -> None:
        for part in parts:
            await asyncio.sleep(pause_s)
            self._transport.write(part)

    async def write_and_close(self, data: bytes, deadline: float | None) -> None:
        """Send `data` and disconnect, at `deadline` at the latest, even if the target has not read everything."""
        self._closed = self._loop.create_future()
        try:
            async with asyncio.timeout_at(deadline):
                self._transport.write(data)
                self._transport.close()
                await self._closed
        except TimeoutError:
            pass
        finally:
            self.abort()

    @property
    def can_reuse(self) -> bool:
        """Whether the connection is open, and the latest request was sent completely.

        A target may respond before it has read the whole request. It would read the rest as the next request.
        """
        return not (self._is_lost or self._transport.is_closing() or self._transport.get_write_buffer_size())

    @property
    def can_poll(self) -> bool:
        """Whether `has_input` can detect data: not on Windows, and not with TLS."""
        return self._poll is not None

    def has_input(self) -> bool:
        """Return whether the target has sent unread data, which usually means the end of the connection.

        The event loop handles such data in its next turn, which is too late for a request in the current turn. The
        result is always False on Windows, and with TLS, where the data may belong to the TLS protocol itself.
        """
        if self._poll is None:
            return False
        return bool(self._poll.poll(0))

    def abort(self) -> None:
        """Close the connection immediately, without waiting for unsent data."""
        self._transport.abort()

    def expire(self) -> None:
        """End the current request with a TimeoutError."""
        self._fail(TimeoutError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection's transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if sys.platform != "win32" and transport.get_extra_info("sslcontext") is None:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read a part of the response. Data without a request closes the connection."""
        parser = self._parser
        if parser is None:
            self.abort()
            return
        try:
            parser.feed(data)
        except Exception as error:  # noqa: BLE001 - the error is raised where the response is awaited
            self._fail(error)
            return
        if parser.is_complete:
            self._complete()

    def eof_received(self) -> None:
        """Handle the end of the target's data, which ends a body without a length. The transport then closes."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._is_lost = True
        self._end(exc)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def _end(self, error: Exception | None) -> None:
        if self._parser is None:
            return
        if error is None:
            self._parser.feed_end()
        if self._parser.is_complete:
            self._complete()
        else:
            self._fail(error or ClosedEarly(has_begun=self._parser.has_begun))

    def _complete(self) -> None:
        self.received_at = time.perf_counter()
        self._parser = None
        if self._response is not None and not self._response.done():
            self._response.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._parser = None
        self.abort()
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)


class Deadlines:
    """Expires requests at their deadlines (times of the event loop), never early, and at most 10 ms late.

    One timer, set for the earliest deadline, serves all requests. A separate timer would add a tenth to the cost of
    each request, mostly for sorting timers that are nearly always canceled.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, deadline: float | None) -> None:
        """Expire the request on `connection` at `deadline`, unless the request is removed earlier. None means never."""
        if deadline is None:
            return
        self._waiting[connection] = deadline
        if self._timer is None or deadline < self._timer.when():
            self._set_timer(deadline)

    def remove(self, connection: Connection) -> None:
        """Remove the request on `connection`, if there is one."""
        self._waiting.pop(connection, None)

    def close(self) -> None:
        """Stop the timer if no request needs it."""
        if self._timer is not None and not self._waiting:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._expire, deadline)

    def _expire(self, now: float) -> None:
        """Expire the requests that are due at `now`, and wait for the next deadline.

        The event loop may call this a moment before `now`, so this function does not read the clock. Each call examines
        all requests. A pause between calls limits the work if thousands of requests expire one after another.
        """
        self._timer = None
        for connection in [connection for connection, deadline in self._waiting.items() if deadline <= now]:
            del self._waiting[connection]
            connection.expire()
        if self._waiting:
            self._set_timer(max(min(self._waiting.values()), now + _EXPIRY_PAUSE_S))


async def connect(origin: Origin, deadline: float | None, trust: ssl.SSLContext | None) -> Connection:
    """Open a connection to `origin`, with TLS if `trust` is not None.

    `deadline` is a time of the event loop, or None for no limit. Raises TimeoutError after the deadline, and
    CannotConnect if no address accepts.
    """
    async with asyncio.timeout_at(deadline) as limit:
        try:
            return await _connect_to_any(origin, trust)
        except (OSError, UnicodeError) as error:
            if limit.expired():
                raise
            raise CannotConnect from error


async def _connect_to_any(origin: Origin, trust: ssl.SSLContext | None) -> Connection:
    """Connect to the first address of `origin` that accepts. If no address accepts, raise the first address's error."""
    first_error: OSError | None = None
    addresses = await _addresses(origin)
    for number, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(_ADDRESS_TIMEOUT_S if number < len(addresses) else None):
                return await _connect_to(address, origin, trust)
        except ssl.SSLError:
            raise
        except OSError as error:  # OSError includes TimeoutError
            first_error = first_error or error
    assert first_error is not None
    raise first_error


async def _connect_to(address: str, origin: Origin, trust: ssl.SSLContext | None) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(loop), address, origin.port, ssl=trust, server_hostname=origin.host if trust else None
    )
    return connection


async def _addresses(origin: Origin) -> list[str]:
    """Return the addresses of `origin` without duplicates, in the resolver's order."""
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, origin.host)
        except OSError:
            continue
        return [origin.host]
    found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
