"""A hostile server in the place of the user's handler, or of a redirect's target.

    async with HostileServer(endless_body).serve() as handler: ...
    with hostile_handler(endless_body) as handler: ...      # in a thread, beside a process

The tricks that suit any server are in `wire.py`. These need a handler's client, which reuses connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.hostile.wire import Connection, HostileServer, Trick
from tests.servers import in_thread


async def never_silent(connection: Connection) -> None:
    """Respond correctly, and go on sending responses on the idle connection."""
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    await asyncio.sleep(0.05)
    await connection.flood(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


async def ok(connection: Connection) -> None:
    """Respond correctly."""
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


@contextmanager
def hostile_handler(trick: Trick) -> Iterator[HostileServer]:
    """Run a server in a thread."""
    server = HostileServer(trick)
    with in_thread(server.start):
        yield server
