"""The only client that sends requests to the code under development: forwarded, replayed, or made by port-hook.

A request is sent exactly as it is given: method, target, header fields in their order and case, repeated fields, body.
Nothing is retried, no redirect is followed, and no proxy is used. See docs/decisions/0007-our-own-client.md.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import sys
import time
from typing import Any, Self
from urllib.parse import urlsplit

from port_hook_cli.http.failures import EXPECTED, CannotConnect, ClosedEarly, describe_failure
from port_hook_cli.http.limits import MAX_RESPONSE_BYTES
from port_hook_cli.http.request_writer import Destination, Origin, read_destination, write_request
from port_hook_cli.http.response_body import BodyBeginning, WholeBody
from port_hook_cli.http.response_parser import ResponseParser
from port_hook_cli.invocations.models import Delivery, Invocation

# If a host has several addresses, an address that does not respond is given up after this time.
_ADDRESS_TIMEOUT_S = 1.0

# Shorter than the keep-alive of any common server, so that no request is sent on a connection that is being closed.
_MAX_IDLE_S = 1.0
_MAX_DESTINATIONS = 1_000


class HttpClient:
    """Sends requests; use it with `async with`, or call `close`. One instance serves one event loop.

    `timeout_s` bounds one request, from connecting to the last byte of the response, in seconds; 0 waits indefinitely.
    A response's body may have `max_response` bytes. `whole_body` says that the body is needed as it was sent;
    otherwise its beginning is kept, decompressed, to be shown.
    """

    def __init__(self, *, timeout_s: float, max_response: int = MAX_RESPONSE_BYTES, whole_body: bool = False) -> None:
        self._timeout_s = timeout_s
        self._max_response = max_response
        self._body_type = WholeBody if whole_body else BodyBeginning
        self._idle: dict[Origin, list[Connection]] = {}
        self._destinations: dict[str, Destination] = {}
        self._trust: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are idle."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    async def send(self, request: Invocation, url: str) -> Delivery:
        """Send `request` to `url`, whose path and query are sent; `request.target` is not.

        Every failure is a Delivery, never an exception.
        """
        began = time.perf_counter()
        connection: Connection | None = None
        try:
            destination = self._destination(url)
            content = write_request(request, destination)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + self._timeout_s if self._timeout_s else None
            connection = await self._take_idle(destination.origin) or await self._connect(destination.origin, deadline)
            body = self._body_type(self._max_response)
            parser = ResponseParser(body.take, is_head=request.method == "HEAD")
            await connection.exchange(content, parser, deadline)
            self._put_back(destination.origin, connection, can_reuse=parser.can_reuse)
            return Delivery(
                url=url,
                status=parser.status,
                latency_ms=(connection.received_at - connection.sent_at) * 1000,
                headers=parser.headers,
                body=body.content(parser.headers),
            )
        except EXPECTED as error:
            failure = describe_failure(error, _place(url), timeout_s=self._timeout_s)
            elapsed_s = time.perf_counter() - (began if connection is None else connection.sent_at)
            return Delivery(url=url, latency_ms=elapsed_s * 1000, fault=failure.fault, error=failure.message)

    def _destination(self, url: str) -> Destination:
        found = self._destinations.get(url)
        if found is None:
            if len(self._destinations) >= _MAX_DESTINATIONS:
                self._destinations.clear()
            found = self._destinations[url] = read_destination(url)
        return found

    async def _take_idle(self, origin: Origin) -> Connection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if not connection.can_poll:
                # Wait for two turns of the event loop: the first turn reads data that has already arrived.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            is_fresh = time.monotonic() - connection.idle_since < _MAX_IDLE_S
            if is_fresh and connection.can_reuse and not connection.has_input():
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, deadline: float | None) -> Connection:
        if origin.scheme == "https" and self._trust is None:
            from port_hook_cli.http.proxies import system_trust

            self._trust = system_trust()
        return await connect(origin, deadline, self._trust if origin.scheme == "https" else None)

    def _put_back(self, origin: Origin, connection: Connection, *, can_reuse: bool) -> None:
        if can_reuse and connection.can_reuse:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.abort()


def _place(url: str) -> str:
    """Return the host and port of a URL; the default port of its scheme is named too."""
    place = url.partition("://")[2].partition("/")[0] or url
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        return place
    place = parts.netloc.rpartition("@")[2]
    return place if has_port or not parts.hostname else f"{place}:{443 if parts.scheme == 'https' else 80}"


class Connection(asyncio.Protocol):
    """An open connection; `connect` makes one. Times are seconds of `time.perf_counter`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sent_at = 0.0
        """When the latest request began to be sent."""
        self.received_at = 0.0
        """When the last byte of the latest response arrived."""
        self.idle_since = 0.0
        self._loop = loop
        self._transport: asyncio.Transport
        self._parser: ResponseParser | None = None
        self._response: asyncio.Future[None] | None = None
        self._is_lost = False
        self._poll: Any = None  # a select.poll

    async def exchange(self, request: bytes, parser: ResponseParser, deadline: float | None) -> None:
        """Send `request` and let `parser` read the response.

        `deadline` is a time of the event loop, None for no limit. Raises TimeoutError, ClosedEarly, OSError and what
        `parser` raises; the connection is closed then.
        """
        self._parser = parser
        response = self._response = self._loop.create_future()
        timer = None if deadline is None else self._loop.call_at(deadline, self._fail, TimeoutError())
        self.sent_at = time.perf_counter()
        self._transport.write(request)
        try:
            await response
        except BaseException:
            self.abort()
            raise
        finally:
            self._parser = self._response = None
            if timer is not None:
                timer.cancel()

    @property
    def can_reuse(self) -> bool:
        """Whether the connection is open, and the latest request was sent completely.

        A target may respond before it has read the whole request. It would read the rest as the next request.
        """
        return not (self._is_lost or self._transport.is_closing() or self._transport.get_write_buffer_size())

    @property
    def can_poll(self) -> bool:
        """Whether `has_input` can tell: not on Windows, and not with TLS."""
        return self._poll is not None

    def has_input(self) -> bool:
        """Return whether the target has sent something that was not read yet, usually the end of the connection.

        The event loop handles it in its next turn, which is too late for a request that is sent in the current turn.
        Always False on Windows, and with TLS, where it may be a part of the protocol.
        """
        if self._poll is None:
            return False
        return bool(self._poll.poll(0))

    def abort(self) -> None:
        """Close the connection immediately, without waiting for unsent data."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if sys.platform != "win32" and transport.get_extra_info("sslcontext") is None:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read a part of the response. Data that no request asked for ends the connection."""
        parser = self._parser
        if parser is None:
            self.abort()
            return
        try:
            parser.feed(data)
        except Exception as error:  # noqa: BLE001 - it is raised where the response is awaited
            self._fail(error)
            return
        if parser.is_complete:
            self._complete()

    def eof_received(self) -> None:
        """Handle the end of the target's data, which ends a body without a length. Then the transport closes."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._is_lost = True
        self._end(exc)

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


async def connect(origin: Origin, deadline: float | None, trust: ssl.SSLContext | None) -> Connection:
    """Open a connection to `origin`, with TLS if `trust` is given.

    `deadline` is a time of the event loop, None for no limit. Raises TimeoutError and CannotConnect.
    """
    async with asyncio.timeout_at(deadline) as limit:
        try:
            return await _connect_to_any(origin, trust)
        except (OSError, UnicodeError) as error:
            if limit.expired():
                raise
            raise CannotConnect from error


async def _connect_to_any(origin: Origin, trust: ssl.SSLContext | None) -> Connection:
    """Connect to the first address of `origin` that accepts; if none does, raise the error of the first address."""
    first_error: OSError | None = None
    addresses = await _addresses(origin)
    for number, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(_ADDRESS_TIMEOUT_S if number < len(addresses) else None):
                return await _connect_to(address, origin, trust)
        except ssl.SSLError:
            raise
        except OSError as error:  # includes TimeoutError
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
    """Return the addresses of `origin`, in the resolver's order, each once."""
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, origin.host)
        except OSError:
            continue
        return [origin.host]
    found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
