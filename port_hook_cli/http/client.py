"""The only client that sends requests to the user's handler, whether port-hook forwards, replays or creates them.

A request is sent with its method, target and body unchanged. Its headers retain their order and case, including
repeated headers. The client doesn't retry, follow redirects or use proxies. See
docs/contributing/decisions/0007-our-own-client.md.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from itertools import pairwise
from typing import Self
from urllib.parse import urlsplit

from port_hook_cli.http.connection import Connection, Deadlines, connect
from port_hook_cli.http.failures import EXPECTED, CannotConnect, describe_failure
from port_hook_cli.http.limits import MAX_RESPONSE_BYTES
from port_hook_cli.http.request_writer import Endpoint, Origin, RepeatedRequests, read_endpoint, write_request
from port_hook_cli.http.response_body import BodyBeginning, WholeBody
from port_hook_cli.http.response_parser import ResponseParser
from port_hook_cli.invocations.models import Delivery, Invocation

# An idle connection is closed sooner than by any common server, so no request is sent on a closing connection.
_MAX_IDLE_S = 1.0
_SERVER_ERROR = 500
_LEAD_BYTE = rb"[\xc2-\xf4]"  # the first byte of a UTF-8 character with several bytes
_MAX_ENDPOINTS = 1_000
_REFUSED_PAUSE_S = 0.05


class HttpClient:
    """Sends requests. Use the client with `async with`, or call `close`. One client serves one event loop.

    `timeout_s` limits one request, from connecting to the last byte of the response, in seconds. 0 waits indefinitely.
    Before that, `send` tries to connect for `wait_s` seconds if the target refuses connections, because it may restart.
    `max_response` is the limit for a response's body in bytes. With `whole_body`, a delivery contains the unchanged
    body. Without it, a delivery contains only the beginning of the body, decompressed, for display. Without
    `keep_alive`, each request has its own connection, so the request cannot fail because the target closes the
    connection after the previous response. With `repeats`, the client remembers the bytes of requests, because the same
    few requests are sent repeatedly. `trust` replaces the certificates that the system trusts.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        max_response: int = MAX_RESPONSE_BYTES,
        whole_body: bool = False,
        keep_alive: bool = True,
        repeats: bool = False,
        wait_s: float = 0.0,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._wait_s = wait_s
        self._max_response = max_response
        self._body_type = WholeBody if whole_body else BodyBeginning
        self._keep_alive = keep_alive
        self._write = RepeatedRequests().write if repeats else write_request
        self._idle: dict[Origin, list[Connection]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._deadlines = Deadlines()
        self._trust = trust

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        self._deadlines.close()

    async def send(self, request: Invocation, url: str) -> Delivery:
        """Send `request` to `url`, with the path and query of `url` instead of `request.target`.

        A failure is returned as a Delivery, never raised as an exception.
        """
        began = time.perf_counter()
        connection: Connection | None = None
        try:
            endpoint = self._endpoint(url)
            content = self._write(request, endpoint)
            connection, deadline = await self._take_idle(endpoint.origin), self._deadline()
            if connection is None:
                connection, deadline = await self._connect_to_restarting(endpoint.origin)
            body = self._body_type(self._max_response)
            parser = ResponseParser(body.take, is_head=request.method == "HEAD")
            self._deadlines.add(connection, deadline)
            await connection.send(content, parser)
            # Uvicorn closes a connection after a failure, without a `connection: close` header.
            can_reuse = parser.can_reuse and parser.status < _SERVER_ERROR
            self._put_back(endpoint.origin, connection, can_reuse=can_reuse)
            return _delivery(url, connection, parser, body)
        except EXPECTED as error:
            return self._failed(url, error, began if connection is None else connection.sent_at)
        finally:
            if connection is not None:
                self._deadlines.remove(connection)

    async def connection_problem(self, url: str) -> str:
        """Open a connection to `url`, and close it. Return the reason for a failure, as a clause, or ""."""
        began = time.perf_counter()
        try:
            connection = await self._connect(self._endpoint(url).origin, self._deadline())
        except EXPECTED as error:
            return self._failed(url, error, began).error or ""
        connection.abort()
        return ""

    async def send_slowly(self, request: Invocation, url: str, *, pieces: int, pause_s: float) -> Delivery:
        """Send `request` to `url` on a new connection, in `pieces` parts with pauses of `pause_s` seconds between them.

        If a character has several bytes, the request is also cut inside the first such character.

        If the target responds before it has received the whole request, that response counts, and the rest is not sent.
        The timeout and the latency include the pauses. A failure is returned as a Delivery, never raised as an
        exception.
        """
        began = time.perf_counter()
        connection: Connection | None = None
        try:
            endpoint = self._endpoint(url)
            parts = _parts(write_request(request, endpoint), pieces)
            deadline = self._deadline()
            connection = await self._connect(endpoint.origin, deadline)
            body = self._body_type(self._max_response)
            parser = ResponseParser(body.take, is_head=request.method == "HEAD")
            self._deadlines.add(connection, deadline)
            await connection.send_slowly(parts, pause_s, parser)
            return _delivery(url, connection, parser, body)
        except EXPECTED as error:
            return self._failed(url, error, began if connection is None else connection.sent_at)
        finally:
            if connection is not None:
                self._deadlines.remove(connection)
                connection.abort()

    async def send_partly(self, request: Invocation, url: str) -> Delivery | None:
        """Send the head of `request` and half of its body to `url` on a new connection, and disconnect.

        A request without a body is cut in its head. Returns None after disconnecting, regardless of what the target
        did. If the connection cannot be opened, or HTTP cannot carry the request, returns that failure.
        """
        began = time.perf_counter()
        try:
            endpoint = self._endpoint(url)
            content = write_request(request, endpoint)
            deadline = self._deadline()
            connection = await self._connect(endpoint.origin, deadline)
        except EXPECTED as error:
            return self._failed(url, error, began)
        await connection.write_and_close(_first_half(content), deadline)
        return None

    def _deadline(self) -> float | None:
        return asyncio.get_running_loop().time() + self._timeout_s if self._timeout_s else None

    def _failed(self, url: str, error: Exception, since: float) -> Delivery:
        """Return the delivery of a failed request that began at `since`, a time of `time.perf_counter` in seconds."""
        failure = describe_failure(error, _place(url), timeout_s=self._timeout_s)
        elapsed_s = time.perf_counter() - since
        return Delivery(url=url, latency_ms=elapsed_s * 1000, fault=failure.fault, error=failure.message)

    def _endpoint(self, url: str) -> Endpoint:
        found = self._endpoints.get(url)
        if found is None:
            if len(self._endpoints) >= _MAX_ENDPOINTS:
                self._endpoints.clear()
            found = self._endpoints[url] = read_endpoint(url)
        return found

    async def _take_idle(self, origin: Origin) -> Connection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if not connection.can_poll:
                # Wait for two turns of the event loop, because the first turn reads data that has already arrived.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            is_fresh = time.monotonic() - connection.idle_since < _MAX_IDLE_S
            if is_fresh and connection.can_reuse and not connection.has_input():
                return connection
            connection.abort()
        return None

    async def _connect_to_restarting(self, origin: Origin) -> tuple[Connection, float | None]:
        """Connect, even if the target refuses connections for a moment. Return the connection and its deadline."""
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._wait_s
        while True:
            deadline = self._deadline()
            try:
                return await self._connect(origin, deadline), deadline
            except CannotConnect as problem:
                if not isinstance(problem.__cause__, ConnectionRefusedError) or clock() >= give_up:
                    raise
            await asyncio.sleep(_REFUSED_PAUSE_S)

    async def _connect(self, origin: Origin, deadline: float | None) -> Connection:
        if origin.scheme == "https" and self._trust is None:
            from port_hook_cli.http.proxies import system_trust

            self._trust = system_trust()
        return await connect(origin, deadline, self._trust if origin.scheme == "https" else None)

    def _put_back(self, origin: Origin, connection: Connection, *, can_reuse: bool) -> None:
        if self._keep_alive and can_reuse and connection.can_reuse:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.abort()


def _delivery(url: str, connection: Connection, parser: ResponseParser, body: WholeBody | BodyBeginning) -> Delivery:
    return Delivery(
        url=url,
        status=parser.status,
        latency_ms=(connection.received_at - connection.sent_at) * 1000,
        headers=parser.headers,
        body=body.content(parser.headers),
    )


def _parts(content: bytes, count: int) -> list[bytes]:
    """Cut `content` into at most `count` parts of almost equal length, and once inside a character if possible."""
    size = -(-len(content) // max(1, count))
    cuts = set(range(0, len(content), size))
    if lead := re.search(_LEAD_BYTE, content):
        cuts.add(lead.end())
    return [content[begin:end] for begin, end in pairwise([*sorted(cuts), len(content)])]


def _first_half(content: bytes) -> bytes:
    """Return the head of a request and half of its body, or half of the head if there is no body."""
    head, end, body = content.partition(b"\r\n\r\n")
    return head + end + body[: len(body) // 2] if body else head[: len(head) // 2]


def _place(url: str) -> str:
    """Return the host and port of a URL, including the default port of its scheme."""
    place = url.partition("://")[2].partition("/")[0] or url
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        return place
    place = parts.netloc.rpartition("@")[2]
    return place if has_port or not parts.hostname else f"{place}:{443 if parts.scheme == 'https' else 80}"
