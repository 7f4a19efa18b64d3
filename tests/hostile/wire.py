"""Shared parts of the hostile servers: raw HTTP/1.1 on 127.0.0.1, one trick per request, and a count of sent bytes.

    async with HostileServer(trick).serve() as server: ...          # in the event loop of the test
    with in_thread(server.start): ...                               # beside a test that waits for a process

A trick is a function of a connection. It gets the request's head. The body is read, by content-length, before the
trick or, by an `early` server, after it. `sent` counts the bytes that the system took from the tricks, so it
exceeds what the client has read by the socket's buffers (some MiB). `hung_up` is set when a client has disconnected.

Limits: no TLS, no HTTP/2. A connection serves requests until its trick ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.servers import Connections

SOCKET_BUFFERS = 24 * 2**20
"""More than the buffers of a connection on loopback hold, on Linux and on macOS."""

_BLOCK = 64 * 1024


@dataclass
class Connection:
    """A client's connection. `head` is the head of the current request."""

    server: HostileServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""

    async def send(self, data: bytes) -> None:
        """Send `data`. Raises ConnectionError when the client has disconnected."""
        self.writer.write(data)
        await self.writer.drain()
        self.server.sent += len(data)
        await asyncio.sleep(0)  # `drain` alone does not let others run

    async def flood(self, piece: bytes, most: int = 900 * 2**20) -> None:
        """Send `piece` again and again, until the client disconnects or `most` bytes were sent."""
        block = piece * max(1, _BLOCK // len(piece))
        for _ in range(most // len(block)):
            await self.send(block)

    async def answer(self, body: bytes, *fields: str, status: str = "200 OK") -> None:
        """Send a well-formed response."""
        lines = [f"HTTP/1.1 {status}", *fields, f"content-length: {len(body)}", "", ""]
        await self.send("\r\n".join(lines).encode("utf-8") + body)


Trick = Callable[[Connection], Awaitable[None]]


@dataclass
class HostileServer:
    """A server that responds to each request with `trick` (see the module)."""

    trick: Trick
    early: bool = False
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        stop = await self.start()
        try:
            yield self
        finally:
            await stop()

    async def start(self) -> Callable[[], Awaitable[None]]:
        """Listen. Return the function that ends the server and every connection."""
        connections = Connections()
        server = await asyncio.get_running_loop().create_server(connections.watched(self._protocol), "127.0.0.1", 0)
        connections.add(server)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        async def stop() -> None:
            await connections.stop_accepting()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            connections.abort()
            await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round

        return stop

    def _protocol(self) -> asyncio.Protocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=2**20), self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.ensure_future(self._serve(Connection(self, reader, writer))))

    async def _serve(self, connection: Connection) -> None:
        try:
            while True:
                connection.head = await connection.reader.readuntil(b"\r\n\r\n")
                self.requests.append(connection.head)
                body = connection.reader.readexactly(_length(connection.head))
                if self.early:
                    await self.choose(connection)(connection)
                    await body
                else:
                    await body
                    await self.choose(connection)(connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up.set()
        finally:
            connection.writer.transport.abort()

    def choose(self, connection: Connection) -> Trick:
        """Return the trick for the current request."""
        return self.trick


def _length(head: bytes) -> int:
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


# --- tricks that suit any server


async def endless_continue(connection: Connection) -> None:
    await connection.flood(b"HTTP/1.1 100 Continue\r\n\r\n")


async def endless_fields(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    await connection.flood(b"x-more: " + b"y" * 1000 + b"\r\n")


async def endless_field(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nx-more: ")
    await connection.flood(b"y" * 1024)


async def endless_body(connection: Connection) -> None:
    """Send a body that ends with the connection, of 900 MiB."""
    await connection.send(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"run": "')
    await connection.flood(b"x" * 1024)


async def endless_chunks(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await connection.flood(b"400\r\n" + b"x" * 1024 + b"\r\n")


async def endless_trailers(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    await connection.flood(b"x-more: " + b"y" * 1000 + b"\r\n")


async def drip(connection: Connection) -> None:
    """Send a byte every 50 ms, so that no wait for the next one is long."""
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    for _ in range(100_000):
        await connection.send(b" ")
        await asyncio.sleep(0.05)


async def reset_midway(connection: Connection) -> None:
    await connection.send(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"run": ')
    connection.writer.transport.abort()
    raise ConnectionResetError


async def switch_protocols(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
    await connection.flood(b"x" * 1024)
