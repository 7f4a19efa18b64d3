"""The client that hands invocations to the code under development, byte for byte.

It is on the path between Port and the handler, so it is ours: the request is written as the listener got it, which a
general client does not promise (it re-spells header bytes that are not UTF-8, puts Host first, normalises the URL),
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

from port_hook_cli.core.models import Delivery, Headers, Invocation

# Shorter than any server's keep-alive, so that a connection is not taken again while its server is hanging up.
_KEEP_IDLE_S = 1.0
_MOST_HEADER_BYTES = 256 * 1024
# As many as that gives room for; its parser takes doubled ones as they are.
_MOST_HEADERS = _MOST_HEADER_BYTES // 4
_Origin = tuple[str, str, int]


class Forwarder:
    """Forwards invocations. `timeout_s` bounds one delivery, in seconds; 0 waits for ever."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._idle: dict[_Origin, list[tuple[ResponseHandler, float]]] = {}
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
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            fault, words = self._explain(error, urlsplit(url).netloc)
            return Delivery(url=url, latency_ms=_ms_since(started), fault=fault, error=words)
        return Delivery(url=url, status=status, latency_ms=_ms_since(started), headers=fields, body=body)

    async def _exchange(self, invocation: Invocation, url: str, headers: Headers) -> tuple[int, Headers, bytes]:
        origin, target = _split(url)
        link = await self._link(origin)
        try:
            assert link.transport is not None
            link.transport.write(_request(invocation, target, headers))
            answer = await _answer(link, is_head=invocation.method == "HEAD")
        except BaseException:
            link.abort()
            raise
        self._put_back(origin, link)
        return answer

    async def _link(self, origin: _Origin) -> ResponseHandler:
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
            lambda: ResponseHandler(loop), host, port, ssl=self._context() if scheme == "https" else None
        )
        return link

    def _put_back(self, origin: _Origin, link: ResponseHandler) -> None:
        transport = link.transport
        # An answer may come before the request has been sent as a whole: the rest of it would meet the next one.
        if link.should_close or transport is None or transport.is_closing() or _is_still_sending(transport):
            link.abort()
        else:
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


async def _answer(link: ResponseHandler, *, is_head: bool) -> tuple[int, Headers, bytes]:
    link.set_response_params(
        skip_payload=is_head,
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=_MOST_HEADER_BYTES,
        max_field_size=_MOST_HEADER_BYTES,
        max_headers=_MOST_HEADERS,
    )
    while True:
        message, payload = await link.read()
        if message.code >= 200:  # noqa: PLR2004 - what comes before are interim answers
            break
    body = payload.read_nowait() if payload.is_eof() else await payload.read()
    return message.code, Headers.from_raw(message.raw_headers), body


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
