"""A listener under load that is killed again and again: what it acknowledged is in the store, once and whole."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Status
from tests.factories import signed
from tests.processes import KILLS, environment

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="it kills with SIGKILL")]

POINTS = KILLS or 4
CLIENTS = 16
MOST_ACKNOWLEDGED = 300  # between two kills


@dataclass
class Load:
    """Clients that send one new body after the other to the listener that runs, and never send one again."""

    port: int = 0
    sent: int = 0
    acknowledged: set[bytes] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def client(self) -> None:
        tried = 0
        while True:
            async with self.changed:
                await self.changed.wait_for(lambda tried=tried: self.port != tried)  # type: ignore[misc]
                tried = self.port
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._send_to(tried)

    async def _send_to(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                self.sent += 1
                body = json.dumps({"number": self.sent, "x": "x" * (self.sent * 7919 % 20_000)}).encode()
                fields = "".join(
                    f"{name}: {value}\r\n" for name, value in signed(body, timestamp=str(int(time.time())))
                )
                writer.write(f"POST / HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n".encode() + body)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                length = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                self.acknowledged.add(body)
                async with self.changed:
                    self.changed.notify_all()
        finally:
            writer.transport.abort()

    async def serve_by(self, port: int) -> None:
        async with self.changed:
            self.port = port
            self.changed.notify_all()

    async def until(self, count: int) -> None:
        """Wait until `count` requests have been acknowledged."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: len(self.acknowledged) >= count), 30)


@asynccontextmanager
async def a_listener(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    with (folder / "stderr").open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "port_hook_cli", "listen", "--json", "--port", "0", "--max-captures", "1000000"),
            cwd=folder,
            env=environment(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        yield process, int(ready["url"].rstrip("/").rpartition(":")[2])
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def kill_under_load(folder: Path, load: Load) -> None:
    chance = random.Random(20261125)  # noqa: S311 - as many requests before each kill every time
    for _ in range(POINTS):
        async with a_listener(folder) as (process, port):
            await load.serve_by(port)
            await load.until(len(load.acknowledged) + chance.randint(0, MOST_ACKNOWLEDGED))
            await asyncio.sleep(chance.random() / 500)  # the kill may come at any moment, not only after an answer
            process.kill()
            assert await process.wait() == -signal.SIGKILL


async def test_kills_under_load_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    load = Load()
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    await kill_under_load(folder, load)
    for client in clients:
        client.cancel()
    ends = await asyncio.gather(*clients, return_exceptions=True)
    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
    async with a_listener(folder) as (process, _):  # it takes the store up once more, and ends as it should
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0

    assert b"Traceback" not in (folder / "stderr").read_bytes()
    with closing(sqlite3.connect(store_path(None, folder))) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    kept: Counter[bytes] = Counter()
    with open_store(None, folder) as captures:
        for capture in captures.find():
            assert capture.verdict.status is Status.VALID, capture
            kept[capture.invocation.body] += 1
    lost = load.acknowledged - kept.keys()
    twice = [body for body, count in kept.items() if count > 1]
    acknowledged, saved = len(load.acknowledged), len(kept)
    sys.stdout.write(
        f"\nlistener: {acknowledged} acknowledged, {POINTS} kills, {len(lost)} lost, {len(twice)} duplicates; "
        f"of {load.sent - acknowledged} unanswered requests, {saved - acknowledged} were saved\n"
    )
    assert (len(lost), len(twice)) == (0, 0)
    assert acknowledged > POINTS  # otherwise the test would show nothing
