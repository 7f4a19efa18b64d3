"""The cost of unsigned requests: how long they block the event loop, and how much memory remains in use."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from urllib.parse import urlsplit

from bench.measuring import at_most, row
from bench.receiving import resident_mib
from bench.servers import listening
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.listener.reader import Reader
from port_hook_cli.signatures.signing import signed_headers
from port_hook_cli.text.secret import Secret
from tests.listener.hostile_bodies import hostile_bodies

_SIZES = (100_000, 400_000, 833_000, 1_000_000, 10_000_000)
_AT_ONCE = 60
_BODY = 10_000_000


def stalls(rounds: int = 2) -> None:
    """Print, for each size, how long a body blocks the loop: alone, and when many arrive at once.

    For each body, the best of `rounds` runs counts; the slowest body is printed. CPU time is measured, so that other
    programs on the machine do not count.
    """
    sys.setswitchinterval(0.001)  # these three lines do what `listen` does when it starts
    gc.freeze()
    gc.set_threshold(20_000)
    for size in _SIZES:
        for count in (1, _AT_ONCE):
            if count * size > 2**25 and count > 1:
                continue
            worst = max(
                (min(asyncio.run(_longest_stall(body, count)) for _ in range(rounds)), name)
                for name, body in hostile_bodies(size)
            )
            row(f"a body of {size:,} bytes blocks, {count} at once", worst[1], worst[0] * 1000, at_most(50, "ms"))


async def _longest_stall(body: bytes, count: int) -> float:
    reader = Reader(Secret("bench"), tolerance_s=300)
    now = time.time()
    headers = Headers((("content-type", "application/json"), *signed_headers(b"", Secret("other"), str(int(now)))))
    invocation = Invocation(id="x", received_at=now, method="POST", target="/", headers=headers, body=body)
    tasks = [asyncio.ensure_future(reader.in_time(invocation, seen=None)) for _ in range(count)]
    longest, last = 0.0, time.process_time()
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.0005)
        now = time.process_time()
        longest, last = max(longest, now - last), now
    reader.close()
    return longest


def memory(rounds: int = 7) -> None:
    """Print how much memory remains in use after `rounds` floods, each of 60 unsigned bodies of 10 MB at once."""
    with tempfile.TemporaryDirectory() as folder, listening(folder) as (url, pid):
        before = resident_mib(pid)
        for _ in range(rounds):
            asyncio.run(_flood(url))
        time.sleep(1)
        after = resident_mib(pid)
    figures = f"{after:.0f} MiB - {before:.0f} MiB"
    row("memory added by 420 bodies of 10 MB", figures, after - before, at_most(64, "MiB"))


async def _flood(url: str) -> None:
    await asyncio.gather(*(_post(url) for _ in range(_AT_ONCE)))


async def _post(url: str) -> None:
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    head = f"POST / HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\nContent-Length: {_BODY}\r\n\r\n"
    writer.write(head.encode() + bytes(_BODY))
    try:
        await reader.read()
    except ConnectionError:
        pass  # the listener refused the request before the whole body was sent
    finally:
        writer.close()


def hostile() -> None:
    stalls()
    memory()
