"""An HTTP source on a free port, with its received requests and its reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, Response
from port_hook_cli.invocations.source import Receive, SourceContext
from port_hook_cli.listener.http_source import HttpSource
from port_hook_cli.listener.observers import Observer

FINE = Response(status=200, headers=Headers((("X-Answer", "1"),)), body=b"fine")


@dataclass
class World:
    """An HTTP source, its received requests, and its reports."""

    port: int = 0
    received: list[Invocation] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    answer: Response = FINE
    hold: asyncio.Event | None = None
    problem: Exception | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, invocation: Invocation, client: str) -> Response:
        self.received.append(invocation)
        self.changed.set()
        if self.hold:
            await self.hold.wait()
        if self.problem:
            raise self.problem
        return self.answer

    def tell(self, notice: str) -> None:
        self.notices.append(notice)
        self.changed.set()

    async def took(self, count: int) -> None:
        """Wait until it has received `count` requests."""
        await self._until(lambda: len(self.received) >= count)

    async def told(self, words: str, times: int = 1) -> None:
        """Wait until `words` were reported this many times."""
        await self._until(lambda: sum(words in notice for notice in self.notices) >= times)

    async def turn(self) -> None:
        """Wait until the server has handled everything sent before."""
        await self.capture(b"not HTTP\r\n\r\n")

    async def _until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not happened():
                self.changed.clear()
                await self.changed.wait()

    async def capture(self, request: bytes) -> bytes:
        """Send bytes on a new connection, and return everything received until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


def a_context(receive: Receive, notice: Callable[[str], None] = print, **options: Any) -> SourceContext:
    return SourceContext(receive=receive, notice=notice, now=lambda: 1.5, new_id=lambda: "abc", **options)


@asynccontextmanager
async def receiving(
    *, host: str = "127.0.0.1", context: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[World]:
    world = World()
    server = HttpSource(a_context(world.receive, world.tell, **(context or {})), **options)
    _, world.port = await server.start(host, 0)
    try:
        yield world
    finally:
        await server.close(2)


def request(body: bytes = b"", *fields: str, method: str = "POST", target: str = "/") -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


@dataclass
class Seen(Observer):
    """Records the calls of a listener to its observers."""

    captures: list[Capture] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def captured(self, capture: Capture) -> None:
        self.captures.append(capture)

    def notice(self, text: str) -> None:
        self.notices.append(text)
