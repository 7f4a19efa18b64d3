"""Small servers on loopback for tests. Each docstring says what the server leaves out."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from aiohttp import web

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Status
from port_hook_cli.signatures.verification import verify_without_diagnosis
from port_hook_cli.text.secret import Secret

# For clients that call http:// only: by default, each would read all certificate authorities, which takes 10 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class RawRequest:
    """A received request."""

    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def fields(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]

    @property
    def content(self) -> bytes:
        return self.head + self.body

    @property
    def closes(self) -> bool:
        return "close" in (self.value("connection") or "").lower()

    def value(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name), None)


def status_of(request: web.Request, body: bytes, secret: Secret, *, tolerance_s: float = 300) -> Status:
    """Return the status of a request's signature, without the search for a cause, which takes 15 ms."""
    fields = Headers.from_raw(request.raw_headers)
    verdict = verify_without_diagnosis(fields, body, secret, now=time.time(), tolerance_s=tolerance_s)
    return Status.INVALID if verdict is None else verdict.status


@dataclass
class Handler:
    """A handler that records what it gets, byte for byte, and responds with fixed bytes.

    It reads a body by its content-length or to its last chunk. A connection stays open if the response tells where it
    ends: a client that sends the next request before it notices the end of the connection would lose it.
    """

    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    delay_s: float = 0.0
    requests: list[RawRequest] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = RawRequest(head, b"")
                if request.value("transfer-encoding"):
                    body = await reader.readuntil(b"0\r\n\r\n")
                else:
                    body = await reader.readexactly(int(request.value("content-length") or 0))
                self.requests.append(RawRequest(head, body))
                await asyncio.sleep(self.delay_s)
                writer.write(self.answer)
                await writer.drain()
                if not _tells_its_end(self.answer) or head.startswith(b"HEAD ") or request.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _tells_its_end(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = RawRequest(head, b"")
    return fields.value("content-length") == str(len(body)) and not fields.closes


@contextmanager
def handler(answer: bytes | None = None, *, delay_s: float = 0.0, ssl: SSLContext | None = None) -> Iterator[Handler]:
    """Run a `Handler` in a thread."""
    it = Handler(delay_s=delay_s)
    if answer is not None:
        it.answer = answer

    async def start() -> Callable[[], Awaitable[None]]:
        server = await asyncio.start_server(it.serve, "127.0.0.1", 0, limit=2**26, ssl=ssl)
        it.port = server.sockets[0].getsockname()[1]

        async def stop() -> None:
            server.close()

        return stop

    with in_thread(start):
        yield it


@contextmanager
def open_port(host: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Listen on a free port. The system accepts connections, but no program reads from them."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        yield listening


@contextmanager
def application(app: web.Application) -> Iterator[str]:
    """Run an aiohttp application in a thread, and yield its URL."""
    urls: list[str] = []

    async def start() -> Callable[[], Awaitable[None]]:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        return runner.cleanup

    with in_thread(start):
        yield urls[0]


@contextmanager
def in_thread(start: Callable[[], Awaitable[Callable[[], Awaitable[None]]]]) -> Iterator[None]:
    """Run an event loop in a thread. `start` starts a server and returns the function that stops it.

    At the end of the block, the connections of the loop's servers are closed.
    """
    loop = _Loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        stop = asyncio.run_coroutine_threadsafe(_as_coroutine(start), loop).result(30)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(_take_down(stop, loop.connections), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


class Connections:
    """Servers of one event loop and their open connections. A server of Python 3.13 can abort its own."""

    def __init__(self) -> None:
        self.open: set[asyncio.Transport] = set()
        self._servers: list[asyncio.Server] = []

    def watched(self, protocol_factory: Callable[[], Any]) -> Callable[[], asyncio.Protocol]:
        """Return a factory of protocols whose transports are in `open` until they close."""
        return lambda: _Watched(protocol_factory(), self.open)

    def add(self, server: asyncio.Server) -> None:
        self._servers.append(server)

    async def stop_accepting(self) -> None:
        """Stop accepting connections, and let accepted connections begin. Call this before closing the servers.

        After a server is closed, asyncio cannot create a transport for an accepted connection, and leaves its socket
        open. aiohttp would wait for a request on a connection whose task hasn't begun.
        """
        for listening in (listening for server in self._servers for listening in server.sockets):
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in ("transport", "protocol", "task"):
            await asyncio.sleep(0)

    def abort(self) -> None:
        """Close each connection in the next turn of the loop, even if its client does not read."""
        for connection in [*self.open]:
            connection.abort()


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that knows the connections of its servers."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = Connections()

    async def create_server(self, protocol_factory: Callable[[], Any], *args: Any, **options: Any) -> asyncio.Server:
        server = await super().create_server(self.connections.watched(protocol_factory), *args, **options)
        self.connections.add(server)
        return server


class _Watched(asyncio.Protocol):
    """A protocol whose transport is in `connections` while it is open."""

    def __init__(self, protocol: asyncio.Protocol, connections: set[asyncio.Transport]) -> None:
        self._transport: Any = None
        self._connections = connections
        self._protocol = protocol
        self.data_received = protocol.data_received  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._connections.add(transport)
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)
        self._protocol.connection_lost(exc)


async def _as_coroutine(start: Callable[[], Awaitable[Any]]) -> Any:
    return await start()


async def _take_down(stop: Callable[[], Awaitable[None]], connections: Connections) -> None:
    """Stop the server, its tasks and its connections, including connections accepted at the last moment."""
    await connections.stop_accepting()
    await stop()
    while True:
        await asyncio.sleep(0)  # for tasks that have not begun
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        connections.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks and not connections.open:
            break
    await asyncio.sleep(0)  # an aborted connection closes its socket in the next turn
