"""How much memory the server retains after a flood of large bodies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST_BYTES = 64 * 2**20
BODY = bytes(10_000_000)
# The server alone, without a store. It prints its port, and its memory when it gets a request for /memory.
SERVER = """
import asyncio, os
from pathlib import Path
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.listener.http_source import HttpSource
from port_hook_cli.invocations.models import Response

async def receive(invocation, client):
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Response(status=401, body=str(pages * os.sysconf("SC_PAGE_SIZE")).encode())

async def main():
    context = SourceContext(receive=receive, now=lambda: 0.0, new_id=lambda: "x", notice=lambda _: None)
    print((await HttpSource(context).start("127.0.0.1", 0))[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def post(port: int, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
    writer.write(body)
    try:
        return await reader.read()
    except ConnectionError:  # it was rejected while it was still sending
        return b""
    finally:
        writer.close()


async def held_bytes(port: int) -> int:
    return int((await post(port, b"")).rpartition(b"\r\n\r\n")[2])


@pytest.mark.extended
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_is_released_after_a_flood_of_large_bodies() -> None:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ)) as server:
        try:
            assert server.stdout is not None
            asyncio.run(flood(int(server.stdout.readline())))
        finally:
            server.kill()


async def flood(port: int) -> None:
    before = await held_bytes(port)
    answers = await asyncio.gather(*(post(port, BODY) for _ in range(40)))
    assert sum(answer.startswith(b"HTTP/1.1 401 ") for answer in answers) >= 6
    async with asyncio.timeout(30):
        while await held_bytes(port) - before > MOST_BYTES:  # noqa: ASYNC110 - a state of another process
            await asyncio.sleep(0.05)  # free memory is returned half a second later
