"""A front for a Kafka broker that has neither TLS nor SASL: it ends both, and can cut every connection.

Clients use SASL_SSL with SCRAM-SHA-512, like with Port's brokers. After authentication, bytes pass unchanged. The
broker must advertise the front's address, so that its clients come back here. It doesn't have ACLs: authenticated users
may do everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from scramp import ScramException, ScramMechanism
from scramp.core import ScramServer

_HANDSHAKE, _AUTHENTICATE = 17, 36
_FLEXIBLE_FROM = 2
_REFUSED = 58  # SASL_AUTHENTICATION_FAILED
_MECHANISM = "SCRAM-SHA-512"


class KafkaFront:
    """A running front. `passwords` are the users' passwords. A change applies to new connections."""

    def __init__(self, ca_file: Path | None) -> None:
        self.ca_file = ca_file
        self.passwords: dict[str, str] = {}
        self.backend_port = 0
        self.port = 0
        self.is_down = False
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.is_down:
            writer.transport.abort()
            return
        backend_reader, backend_writer = await asyncio.open_connection("127.0.0.1", self.backend_port)
        self._writers |= {writer, backend_writer}
        try:
            if self.ca_file is None or await self._authenticate(reader, writer, backend_reader, backend_writer):
                await _both_ways(reader, writer, backend_reader, backend_writer)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            for one in (writer, backend_writer):
                self._writers.discard(one)
                one.transport.abort()

    async def _authenticate(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        backend_reader: asyncio.StreamReader,
        backend_writer: asyncio.StreamWriter,
    ) -> bool:
        """Respond to SASL requests until a user is authenticated. The broker responds to version requests."""
        server = ScramMechanism(_MECHANISM).make_server(self._stored)
        while True:
            request = await read_frame(reader)
            key, version, correlation = struct.unpack_from(">hhi", request)
            if key == _HANDSHAKE:
                body = struct.pack(">hi", 0, 1) + _text(_MECHANISM)
                writer.write(framed(struct.pack(">i", correlation) + body))
            elif key == _AUTHENTICATE:
                answer = _scram(server, _auth_bytes(request, version))
                writer.write(framed(struct.pack(">i", correlation) + _authenticated(version, answer)))
                if answer is None:
                    await writer.drain()
                    return False
                if server.stage is not None and server.stage.name == "get_server_final":
                    await writer.drain()
                    return True
            else:
                backend_writer.write(framed(request))
                writer.write(framed(await read_frame(backend_reader)))

    def _stored(self, user: str) -> tuple[bytes, bytes, bytes, int]:
        if user not in self.passwords:
            raise ScramException("unknown user", "unknown-user")
        found: tuple[bytes, bytes, bytes, int] = ScramMechanism(_MECHANISM).make_auth_info(self.passwords[user])
        return found


@asynccontextmanager
async def kafka_front(folder: Path | None) -> AsyncIterator[KafkaFront]:
    """Listen on a free port. With a `folder` for the authority's certificate, use TLS and SASL."""
    context = None
    if folder is not None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    front = KafkaFront(None if folder is None else folder / "ca.pem")
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0, ssl=context)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        front.cut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    backend_reader: asyncio.StreamReader,
    backend_writer: asyncio.StreamWriter,
) -> None:
    ways = [asyncio.create_task(_copy(reader, backend_writer)), asyncio.create_task(_copy(backend_reader, writer))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def framed(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _auth_bytes(request: bytes, version: int) -> bytes:
    (length,) = struct.unpack_from(">h", request, 8)
    start = 10 + max(0, length)
    if version < _FLEXIBLE_FROM:
        (size,) = struct.unpack_from(">i", request, start)
        return request[start + 4 : start + 4 + size]
    size = request[start + 1] - 1  # after the header's tags, and short enough for one byte
    return request[start + 2 : start + 2 + size]


def _scram(server: ScramServer, message: bytes) -> bytes | None:
    """Return the next message of the server, or None if it rejects the login."""
    try:
        if server.stage is None:
            server.set_client_first(message.decode())
            return str(server.get_server_first()).encode()
        server.set_client_final(message.decode())
        return str(server.get_server_final()).encode()
    except ScramException:
        return None


def _authenticated(version: int, answer: bytes | None) -> bytes:
    code, said = (_REFUSED, b"") if answer is None else (0, answer)
    reason = "Authentication failed" if answer is None else ""
    if version < _FLEXIBLE_FROM:
        body = struct.pack(">h", code) + _text(reason) + struct.pack(">i", len(said)) + said
        return body + (struct.pack(">q", 0) if version else b"")
    compact = bytes([len(reason) + 1]) + reason.encode() + bytes([len(said) + 1]) + said
    return b"\0" + struct.pack(">h", code) + compact + struct.pack(">q", 0) + b"\0"
