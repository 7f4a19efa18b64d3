"""The end of a server: it stops accepting connections, and drops none that it has accepted."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def stop_accepting(server: asyncio.Server) -> None:
    """Close the listening sockets of a server; connections that it has accepted stay open.

    asyncio accepts a connection one round of the event loop before it starts to serve it. If the server is closed
    between the two, asyncio drops the connection, and Python 3.12 and later print a traceback
    (https://github.com/python/cpython/issues/109564). So the last connections are given that round here.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        with suppress(NotImplementedError):  # the event loop of Windows
            loop.remove_reader(listening.fileno())
    await asyncio.sleep(0)
    server.close()
