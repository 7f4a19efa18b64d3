"""The end of a server: it stops accepting connections, and drops none that it has accepted."""

from __future__ import annotations

import asyncio
from contextlib import suppress

# From accepting a connection to the call of its protocol.
_ROUNDS = 2


async def stop_accepting(server: asyncio.Server) -> None:
    """Close the listening sockets of a server, but none of the connections that it has accepted.

    It returns after `connection_made` has been called for each of them, so that the caller can close them all.

    asyncio accepts a connection, makes its transport and calls its protocol in three rounds of the event loop. If the
    server is closed between the first two, asyncio drops the connection, and Python 3.12 and later print a traceback
    (https://github.com/python/cpython/issues/109564). So the last connections get these rounds here.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        with suppress(NotImplementedError):  # the event loop of Windows
            loop.remove_reader(listening.fileno())
    try:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
    finally:  # also if this task is canceled
        server.close()
