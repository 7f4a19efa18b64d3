"""The client that hands invocations to the code under development, byte for byte.

It is on the path between Port and the handler, so it is ours: the request is written as the listener got it, which a
general client does not promise (it re-spells header bytes that are not UTF-8, puts Host first, normalizes the URL),
and in half the time. Reading the answer is left to aiohttp's parser. See docs/decisions/0007-our-own-forwarder.md.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from port_hook_cli.http.limits import MOST_RESPONSE_BYTES, format_size
from port_hook_cli.invocations.models import Delivery, Headers, Invocation

# Shorter than any server's keep-alive, so that a connection is not taken again while its server is hanging up.
_KEEP_IDLE_S = 1.0
_MOST_HEADER_BYTES = 256 * 1024
# As many as that gives room for; its parser takes doubled ones as they are.
_MOST_HEADERS = _MOST_HEADER_BYTES // 4
_MOST_INTERIM = 32
_SWITCHING_PROTOCOLS = 101
_Origin = tuple[str, str, int]


class _TooLarge(Exception):
    """A response is larger than the limit; the message is a clause."""


class Forwarder:
    """Forwards invocations.

    `timeout_s` bounds one delivery, in seconds; 0 waits indefinitely. A response's body may have `max_response` bytes.
    """

    def __init__(self, *, timeout_s: float, max_response: int = MOST_RESPONSE_BYTES) -> None:
        self._timeout_s = timeout_s
        self._max_response = max_response
        self._idle: dict[_Origin, list[tuple[_Link, float]]] = {}
        self._trust: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for links in self._idle.values():
            for link, _ in links:
                link.abort()

    async def forward(self, invocation: Invocation, url: str, headers: Headers) -> Delivery:
        """Send `invocation` with `headers` to `url`; every failure is a Delivery, never an exception."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s or None):
                status, fields, body = await self._exchange(invocation, url, headers)
        except (aiohttp.ClientError, HttpProcessingError, _TooLarge, OSError, ValueError) as error:
            fault, words = "too-large", str(error)
            if not isinstance(error, _TooLarge):
                fault, words = self._explain(error, urlsplit(url).netloc)
            return Delivery(url=url, latency_ms=_ms_since(started), fault=fault, error=words)
        return Delivery(url=url, status=status, latency_ms=_ms_since(started), headers=fields, body=body)

    async def _exchange(self, invocation: Invocation, url: str, headers: Headers) -> tuple[int, Headers, bytes]:
        origin, target = _split(url)
        link = await self._link(origin)
        try:
            assert link.transport is not None
            link.begin()
            link.transport.write(_request(invocation, target, headers))
            answer = await _answer(link, self._max_response, is_head=invocation.method == "HEAD")
        except BaseException:
            link.abort()
            raise
        self._put_back(origin, link)
        return answer

    async def _link(self, origin: _Origin) -> _Link:
        """Return a connection to `origin`: one that was used just now, or a new one."""
        links = self._idle.get(origin, [])
        now = time.monotonic()
        while links:
            link, since = links.pop()
            if now - since < _KEEP_IDLE_S and link.is_connected() and not link.should_close:
                return link
            link.abort()
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(
            lambda: _Link(loop), host, port, ssl=self._context() if scheme == "https" else None
        )
        return link

    def _put_back(self, origin: _Origin, link: _Link) -> None:
        transport = link.transport
        # An answer may come before the request has been sent as a whole: the rest of it would meet the next one.
        if link.should_close or transport is None or transport.is_closing() or _is_still_sending(transport):
            link.abort()
        else:
            link.rest()
            self._idle.setdefault(origin, []).append((link, time.monotonic()))

    def _context(self) -> ssl.SSLContext:
        self._trust = self._trust or ssl.create_default_context()
        return self._trust

    def _explain(self, error: Exception, place: str) -> tuple[str, str]:
        match error:
            case TimeoutError():
                return "timeout", f"the handler gave no answer within {self._timeout_s:g} s (--forward-timeout)"
            case ssl.SSLError():
                return "unreachable", f"no TLS connection to {place}: {error.reason or error}"
            case aiohttp.ServerDisconnectedError():
                return "broken", f"the handler on {place} closed the connection without an answer"
            case aiohttp.ClientError() | HttpProcessingError():
                return "broken", f"what {place} answered could not be read: {str(error) or type(error).__name__}"
            case ConnectionRefusedError():
                return "unreachable", f"nothing answers on {place}: is your handler running?"
            case _:
                return "unreachable", f"{place} cannot be reached: {error}"


class _Link(ResponseHandler):
    """A connection that gives up a response with too many bytes before or after its body.

    aiohttp limits each header field, but not their total, the trailers, or what an idle server sends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._is_idle = False
        self._body_bytes = self._unchecked_bytes = 0

    def begin(self) -> None:
        """Expect a response."""
        self._is_idle = False
        self._body_bytes = self._unchecked_bytes = 0

    def rest(self) -> None:
        """Expect nothing until the next request."""
        self._is_idle = True
        self._unchecked_bytes = _MOST_HEADER_BYTES + 1

    def data_received(self, data: bytes) -> None:
        """Handle bytes of the expected response."""
        if self._unchecked_bytes > _MOST_HEADER_BYTES and not self._is_wanted():
            return
        self._unchecked_bytes += len(data)
        super().data_received(data)

    def _is_wanted(self) -> bool:
        """Return whether the bytes since the last check held some of the body; give up the response otherwise."""
        body_bytes = 0 if self._payload is None else self._payload.total_bytes
        if self._is_idle:
            self.abort()
            return False
        if body_bytes == self._body_bytes:
            self._give_up()
            return False
        self._body_bytes, self._unchecked_bytes = body_bytes, 0
        return True

    def _give_up(self) -> None:
        size = format_size(_MOST_HEADER_BYTES)
        error = _TooLarge(f"the header section or the trailers of the handler's response are larger than {size}")
        self.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


def _is_still_sending(transport: asyncio.BaseTransport) -> bool:
    return isinstance(transport, asyncio.Transport) and transport.get_write_buffer_size() > 0


def _split(url: str) -> tuple[_Origin, str]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    origin = (parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    # Cut out, not put together: the path's bytes are the sender's.
    target = url[len(parts.scheme) + 3 + len(parts.netloc) :]
    return origin, target if target.startswith("/") else f"/{target}"


def _request(invocation: Invocation, target: str, headers: Headers) -> bytes:
    lines = [f"{invocation.method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")]
    lines.extend(f"{name}: {value}".encode("latin-1") for name, value in headers)
    if invocation.body and headers.get("content-length") is None:
        lines.append(b"content-length: %d" % len(invocation.body))
    return b"\r\n".join((*lines, b"", invocation.body))


async def _answer(link: _Link, max_response: int, *, is_head: bool) -> tuple[int, Headers, bytes]:
    link.set_response_params(
        skip_payload=is_head,
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=_MOST_HEADER_BYTES,
        max_field_size=_MOST_HEADER_BYTES,
        max_headers=_MOST_HEADERS,
    )
    message, payload = await link.read()
    interim = 0
    while message.code < 200:  # noqa: PLR2004 - lower codes are interim responses
        interim += 1
        if message.code == _SWITCHING_PROTOCOLS:
            raise aiohttp.ClientError("it switches to another protocol, which port-hook did not ask for")
        if interim > _MOST_INTERIM:
            raise _TooLarge(f"the handler sent more than {_MOST_INTERIM} interim (1xx) responses")
        message, payload = await link.read()
    body = payload.read_nowait() if payload.is_eof() else await _body(payload, max_response)
    if len(body) > max_response:
        raise _too_large(max_response)
    return message.code, Headers.from_raw(message.raw_headers), body


async def _body(payload: aiohttp.StreamReader, max_response: int) -> bytes:
    body = bytearray()
    while part := await payload.readany():
        body += part
        if len(body) > max_response:
            raise _too_large(max_response)
    return bytes(body)


def _too_large(limit: int) -> _TooLarge:
    return _TooLarge(f"the handler's response is larger than {format_size(limit)}; raise --max-response")


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
