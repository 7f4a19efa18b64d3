"""A handler that fails on the wire. It reads only the first bytes of a request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FAULTS = ("refused", "silent", "endless", "reset", "unavailable")


@asynccontextmanager
async def faulty_handler(fault: str) -> AsyncIterator[str]:
    """Serve the fault until the end of the block, and yield the URL."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
            if fault == "silent":
                await over.wait()
            elif fault == "endless":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n")
                await writer.drain()
                await over.wait()
            elif fault == "reset":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
        writer.transport.abort() if fault == "reset" else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if fault == "refused":
        server.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        server.close()
