"""The proxy for the calls that a started handler makes to the internet.

The proxy shows whether the handler has Port's address in its code, because Port must not get reports of a check. It
rejects calls to Port and tunnels all other calls without recording them. Many clients ignore proxy variables, so a
proxy without calls proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY")
_DIRECT = "NO_PROXY"
_LOOPBACK = "localhost,127.0.0.1,::1"
_DOMAINS_OF_PORT = (".port.io", ".getport.io")
# Other characters would appear in the report, or raise errors other than an unknown name.
_is_host = re.compile(r"[\w.:%-]+", re.ASCII).fullmatch
_PORTS = {"http": 80, "https": 443}
_MOST_CONNECTIONS = 100
_MAX_HEAD = 16 * 1024
_MAX_BYTES = 256 * 2**20
_CHUNK = 64 * 1024
_HEAD_S, _CONNECT_S, _MOST_S = 10.0, 10.0, 600.0
_OF_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection"})


class ProxiedRequest(NamedTuple):
    """The address that a client asks a proxy for. `head` is what the address gets first, or b"" for a tunnel."""

    host: str
    port: int
    uses_tls: bool = False
    head: bytes = b""

    @property
    def is_for_port(self) -> bool:
        """Whether the address belongs to Port."""
        return f".{self.host}".lower().rstrip(".").endswith(_DOMAINS_OF_PORT)


def read_proxied(head: bytes) -> ProxiedRequest:
    """Return what the head of a request asks a proxy for. Raises ValueError if a proxy cannot serve the request."""
    first, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, _ = first.decode("ascii").split(" ")
    is_tunnel = method == "CONNECT"
    parts = urlsplit(f"https://{target}" if is_tunnel else target)
    host = parts.hostname or ""
    if not _is_host(host) or parts.scheme not in _PORTS:
        raise ValueError(target)
    port = parts.port or _PORTS[parts.scheme]
    if is_tunnel:
        return ProxiedRequest(host, port)
    path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in _OF_CONNECTION]
    lines = [f"{method} {path} HTTP/1.1".encode(), *kept, b"Connection: close", b"", b""]
    return ProxiedRequest(host, port, parts.scheme == "https", b"\r\n".join(lines))


class OutboundProxy:
    """A proxy on this machine. `called` is the first of Port's hosts that a client asked for, or None."""

    def __init__(self) -> None:
        self.called: str | None = None
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[OutboundProxy]:
        """Serve on a free port of this machine. At the end, close all connections."""
        proxy = cls()
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0, limit=_MAX_HEAD)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that make a command use this proxy, except for addresses on this machine."""
        found = {**dict.fromkeys(_PROXIES, f"http://127.0.0.1:{self.port}"), _DIRECT: _LOOPBACK}
        return found | {name.lower(): value for name, value in found.items()}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _MOST_CONNECTIONS:
            writer.close()
            return
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            try:
                async with asyncio.timeout(_MOST_S):
                    await self._answer(reader, writer)
            finally:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            request = read_proxied(head)
        except ValueError:
            await _refuse(writer, "400 Bad Request")
            return
        if request.is_for_port:
            self.called = self.called or request.host
            await _refuse(writer, "403 Forbidden")
            return
        try:
            async with asyncio.timeout(_CONNECT_S):
                other, sender = await _connect(request)
        except (OSError, UnicodeError):
            await _refuse(writer, "502 Bad Gateway")
            return
        try:
            if request.head:
                sender.write(request.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _relay((reader, sender), (other, writer))
        finally:
            sender.close()


async def _connect(request: ProxiedRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    trust = None
    if request.uses_tls:  # axios asks a proxy for the whole URL instead of a tunnel
        from port_hook_cli.http.proxies import system_trust

        trust = system_trust()
    return await asyncio.open_connection(request.host, request.port, ssl=trust)


async def _refuse(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


_Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _relay(there: _Way, back: _Way) -> None:
    """Copy bytes in both directions until the second direction ends."""
    sending = asyncio.ensure_future(_copy(*there))
    try:
        await _copy(*back)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = _MAX_BYTES
    while left > 0 and (chunk := await reader.read(min(left, _CHUNK))):
        left -= len(chunk)
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def uses_proxy(environ: Mapping[str, str]) -> bool:
    """Return whether the user has set a proxy variable, which must not be overwritten."""
    names = {name.upper() for name, value in environ.items() if value}
    return not names.isdisjoint({*_PROXIES, _DIRECT, "ALL_PROXY"})
