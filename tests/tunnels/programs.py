"""Shared parts of the tests for providers with their own program."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from port_hook_cli.tunnels.protocol import Tunnel

T = TypeVar("T", bound=Tunnel)


@dataclass
class Pipe:
    """A pipe for a fake program's pid. It shows when the program runs and when it has ended."""

    lines: asyncio.StreamReader
    our_end: int

    async def pid(self) -> int:
        return int(await asyncio.wait_for(self.lines.readline(), 10))

    async def gone(self) -> None:
        """Wait until the program has ended, which closes its end of the pipe. Fail after 10 seconds."""
        os.close(self.our_end)
        self.our_end = -1
        try:
            await asyncio.wait_for(self.lines.read(), 10)
        except TimeoutError:
            pytest.fail("the program is still running")


@asynccontextmanager
async def pipe_at(path: Path) -> AsyncIterator[Pipe]:
    os.mkfifo(path)
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines),
        os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0),
    )
    pipe = Pipe(lines, os.open(path, os.O_WRONLY))
    yield pipe
    if pipe.our_end >= 0:
        os.close(pipe.our_end)
    transport.close()


@asynccontextmanager
async def closing(tunnel: T) -> AsyncIterator[T]:
    try:
        yield tunnel
    finally:
        await tunnel.close()
        await tunnel.close()  # does nothing


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something without an event, 30 seconds at most."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.01)


async def capture(url: str, request: bytes) -> bytes:
    """Send bytes to a server on this machine and return its response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
