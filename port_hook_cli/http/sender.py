"""The client that replays are sent with: byte for byte, one try, no redirects, no proxy.

Not the listener's forwarder: a replay has not loaded aiohttp, and httpx takes a request apart less.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Self
from urllib.parse import SplitResult, quote, urlsplit

import httpx

from port_hook_cli.http.limits import MOST_RESPONSE_BYTES, format_size
from port_hook_cli.invocations.models import Delivery, Headers, Invocation

KEPT_BYTES = 64 * 1024
"""How much of an answer's body a Delivery keeps; the rest is read and dropped."""

# Node keeps an idle connection for 5 s, uvicorn too: one that may be closing is not used again.
_IDLE_S = 2.0
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


class _TooLarge(Exception):
    """A response is larger than the limit."""


class Sender:
    """Sends replays; use it with `async with`.

    `timeout_s` bounds one send as a whole, in seconds; 0 waits indefinitely. A response's body may have `max_response`
    bytes, as it comes over the wire. There is a connection for each send that is
    under way, each in a pool of its own: httpcore goes through a whole pool for each request and each answer.
    `open_transport` is for tests of what no real target does at will.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        max_response: int = MOST_RESPONSE_BYTES,
        open_transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._max_response = max_response
        self._open_transport = open_transport or partial(_open_transport, system_trust())
        self._transports: list[httpx.AsyncBaseTransport] = []
        self._idle: list[httpx.AsyncBaseTransport] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            await transport.aclose()

    async def send(self, invocation: Invocation, url: str) -> Delivery:
        """Send `invocation` to `url`, whose path and query count; every failure is a Delivery, never an exception."""
        watch = _Stopwatch()
        try:
            async with asyncio.timeout(self._timeout_s or None):
                delivery = await self._exchange(invocation, url, watch)
        except TimeoutError:
            words = f"no answer within {self._timeout_s:g} s"
            delivery = Delivery(url=url, fault="timeout", error=words)
        except _TooLarge:
            words = f"the response is larger than {format_size(self._max_response)}"
            delivery = Delivery(url=url, fault="too-large", error=words)
        except (httpx.HTTPError, httpx.InvalidURL, zlib.error, OSError, ValueError) as error:
            fault, words = _explain(error, url)
            delivery = Delivery(url=url, fault=fault, error=words)
        return replace(delivery, latency_ms=watch.elapsed_ms())

    async def _exchange(self, invocation: Invocation, url: str, watch: _Stopwatch) -> Delivery:
        parts = urlsplit(url)
        _check(invocation, parts)
        request = httpx.Request(
            invocation.method,
            f"{parts.scheme}://{parts.netloc}/",
            headers=invocation.headers.raw(),
            content=invocation.body,
            # httpx would normalize the path; what was captured is what is sent.
            extensions={"target": _request_target(parts), "trace": watch.on_event},
        )
        transport = self._take()
        try:
            return await self._answer(transport, request, url)
        finally:
            self._idle.append(transport)

    def _take(self) -> httpx.AsyncBaseTransport:
        if not self._idle:
            self._idle.append(self._open_transport())
            self._transports += self._idle
        return self._idle.pop()

    async def _answer(self, transport: httpx.AsyncBaseTransport, request: httpx.Request, url: str) -> Delivery:
        response = await transport.handle_async_request(request)
        try:
            return Delivery(
                url=url,
                status=response.status_code,
                headers=Headers.from_raw(response.headers.raw),
                body=await _beginning(response, self._max_response),
            )
        finally:
            await response.aclose()


class _Stopwatch:
    """Begins anew with the first byte sent: connecting, and what httpx imports for it, is no latency."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def on_event(self, name: str, _: object) -> None:
        """Take an event of httpcore's `trace` extension."""
        if name == "http11.send_request_headers.started":
            self._began = time.perf_counter()

    def elapsed_ms(self) -> float:
        """Return the milliseconds it has been running."""
        return (time.perf_counter() - self._began) * 1000


def system_trust() -> ssl.SSLContext:
    """Return the system's certificate authorities, or certifi's where the system has none to show."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        return httpx.create_ssl_context(trust_env=False)
    return context


def _check(invocation: Invocation, parts: SplitResult) -> None:
    """Raise ValueError for what httpcore and anyio would let escape as exceptions of libraries below them."""
    if not invocation.method.isascii():
        raise ValueError(f"the method {invocation.method!a} has characters that are not ASCII")
    if parts.port == 0:  # reading it raises ValueError for 65536 and more
        raise ValueError("there is no port 0")
    for length in invocation.headers.all("content-length"):
        if length != str(len(invocation.body)):
            raise ValueError(f"content-length is {length}, but the body has {len(invocation.body)} bytes")


def _open_transport(trust: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(verify=trust, trust_env=False, limits=httpx.Limits(keepalive_expiry=_IDLE_S))


def _request_target(parts: SplitResult) -> bytes:
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return quote(target, safe=_ASCII, errors="surrogateescape").encode("ascii")


async def _beginning(response: httpx.Response, max_response: int) -> bytes:
    """Return the first KEPT_BYTES of the body, decompressed if it has one content encoding; raises _TooLarge."""
    unpack, kept, size = _unpacker(response), bytearray(), 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > max_response:
            raise _TooLarge
        if len(kept) < KEPT_BYTES:
            kept += unpack(chunk, KEPT_BYTES - len(kept))
    return bytes(kept)


def _unpacker(response: httpx.Response) -> Callable[[bytes, int], bytes]:
    """Return a function that decodes at most N bytes of the body from a chunk; httpx's own decoders have no limit."""
    match response.headers.get("content-encoding", "").strip().lower():
        case "gzip" | "x-gzip":
            return _Inflater(zlib.MAX_WBITS | 16).take
        case "deflate":
            return _Inflater(zlib.MAX_WBITS).take
        case _:
            return lambda chunk, most: chunk[:most]


class _Inflater:
    """Decompresses zlib data, no more at a time than is requested; raises zlib.error."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits)
        self._is_new = True

    def take(self, chunk: bytes, most: int) -> bytes:
        """Return up to `most` more bytes."""
        is_first, self._is_new = self._is_new, False
        try:
            return self._stream.decompress(self._stream.unconsumed_tail + chunk, most)
        except zlib.error:
            if not is_first or self._wbits != zlib.MAX_WBITS:
                raise
        # `deflate` is a zlib stream, but some servers send raw deflate data.
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._stream.decompress(chunk, most)


def _explain(error: Exception, url: str) -> tuple[str, str]:
    """Return the slug and the words for a send that got no answer."""
    place = _place(url)
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "unreachable", f"no TLS connection to {place}: {_last_words(causes)}"
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "unreachable", f"the name in {place} cannot be resolved"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "unreachable", f"nothing listens on {place}: is your backend running?"
    if isinstance(error, httpx.ConnectError | httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "unreachable", f"{place} cannot be reached: {_last_words(causes)}"
    if isinstance(error, httpx.LocalProtocolError | ValueError):
        return "broken", f"the request cannot be sent as HTTP: {_last_words(causes)}"
    return "broken", f"{place} broke off without a whole answer: {_last_words(causes)}"


def _place(url: str) -> str:
    """Return the host and port of a URL; a scheme's own port is named too."""
    place = url.partition("://")[2].partition("/")[0] or url
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        return place
    return place if has_port or not parts.hostname else f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _last_words(causes: list[BaseException]) -> str:
    return next((str(cause) for cause in causes if str(cause)), type(causes[0]).__name__)
