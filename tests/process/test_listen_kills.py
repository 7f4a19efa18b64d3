"""A listener under load that is killed repeatedly: what it acknowledged is in the store, once and complete."""

from __future__ import annotations

import asyncio
import json
import os
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

from port_hook_cli.captures.database.files import LOG, beside
from port_hook_cli.captures.database.opening import store_path
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Status
from tests.factories import signed
from tests.prepared import Popen
from tests.processes import KILLS, running

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="it kills with SIGKILL")]

POINTS = KILLS or 4
CLIENTS = 16
# Between two kills, when each client may have one more request saved. The store retains 10,000 captures.
MOST_ACKNOWLEDGED = max(24, min(300, 18_000 // POINTS - 4 * CLIENTS))
CUTS = min(POINTS, 100)


@dataclass
class Load:
    """Clients that send one new body after the other to the listener that runs, and never send one again."""

    port: int = 0
    sent: int = 0
    unsaved: int = 0  # responses that say that the request was not saved
    is_damaged: bool = False  # the latest of these says that the store is damaged
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
                length = re.search(rb"content-length: (\d+)", head)
                response = await reader.readexactly(int(length[1]) if length else 0)
                if b"not-saved" in response:
                    assert head.startswith(b"HTTP/1.1 500"), head
                    self.unsaved += 1
                    self.is_damaged = b"is damaged" in response
                    async with self.changed:
                        self.changed.notify_all()
                    continue
                self.is_damaged = False
                assert head.startswith(b"HTTP/1.1 200"), head
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
        """Wait until `count` requests have been acknowledged, or the store is damaged."""
        async with self.changed:
            await asyncio.wait_for(
                self.changed.wait_for(lambda: len(self.acknowledged) >= count or self.is_damaged), 30
            )

    async def until_undamaged(self) -> None:
        """Wait until a request has been acknowledged after the store was damaged."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(lambda: not self.is_damaged), 30)


@asynccontextmanager
async def a_listener(folder: Path) -> AsyncIterator[tuple[Popen, int]]:
    options = ("listen", "--json", "--port", "0")
    with (folder / "stderr").open("ab") as stderr, running(folder, *options, stderr=stderr) as process:
        ready = json.loads(await asyncio.to_thread(process.stdout.readline))
        yield process, int(ready["url"].rstrip("/").rpartition(":")[2])


def saved_bodies(folder: Path) -> Counter[bytes]:
    kept: Counter[bytes] = Counter()
    with open_store(None, folder) as captures:
        for capture in captures.select():
            assert capture.verdict.status is Status.VALID, capture
            kept[capture.invocation.body] += 1
    return kept


async def test_kills_under_load_lose_no_acknowledged_request(folder: Path) -> None:
    load = Load()
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    chance = random.Random(20261125)  # noqa: S311 - as many requests before each kill every time
    for _ in range(POINTS):
        async with a_listener(folder) as (process, port):
            await load.serve_by(port)
            await load.until(len(load.acknowledged) + chance.randint(0, MOST_ACKNOWLEDGED))
            await asyncio.sleep(chance.random() / 500)  # the kill may come at any moment, not only after a response
            process.kill()
            assert process.wait(30) == -signal.SIGKILL
    for client in clients:
        client.cancel()
    ends = await asyncio.gather(*clients, return_exceptions=True)
    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
    async with a_listener(folder) as (process, _):  # it takes the store up once more, and ends as it should
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert b"Traceback" not in (folder / "stderr").read_bytes()
    with closing(sqlite3.connect(store_path(None, folder))) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert load.unsaved == 0
    kept = saved_bodies(folder)
    lost = load.acknowledged - kept.keys()
    twice = [body for body, count in kept.items() if count > 1]
    acknowledged, saved = len(load.acknowledged), len(kept)
    sys.stdout.write(
        f"\nlistener: {acknowledged} acknowledged, {POINTS} kills, {len(lost)} lost, {len(twice)} duplicates; "
        f"of {load.sent - acknowledged} unanswered requests, {saved - acknowledged} were saved\n"
    )
    assert (len(lost), len(twice)) == (0, 0)
    assert acknowledged > POINTS  # otherwise the test would show nothing


@pytest.mark.extended
async def test_log_cut_under_load_loses_only_reported_requests(folder: Path) -> None:
    load = Load()
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    chance = random.Random(20261128)  # noqa: S311 - the same shares every time
    path, told = store_path(None, folder), folder / "stderr"
    log, cuts, moved, told_before = beside(path, LOG), 0, 0, 0
    async with a_listener(folder) as (process, port):
        await load.serve_by(port)
        while True:
            await load.until(len(load.acknowledged) + chance.randint(20, max(MOST_ACKNOWLEDGED, 116)))
            if cuts == CUTS and not load.is_damaged:
                break
            with suppress(FileNotFoundError):  # it is being opened again
                if load.is_damaged:  # during a checkpoint. The listener cannot save until the store is moved
                    path.rename(folder / f"damaged{moved}.db")
                    moved, told_before = moved + 1, told.stat().st_size
                    load.acknowledged.clear()
                    await load.until_undamaged()
                else:
                    os.truncate(log, int(log.stat().st_size * chance.random()))
                    cuts += 1
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate, timeout=20)
        assert process.returncode == 0

    assert b"Traceback" not in told.read_bytes()
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    warnings = re.findall(
        rb"^warning: .*: (at least )?(\d+) saved captures? (?:is|are) lost",
        told.read_bytes()[told_before:],
        re.MULTILINE,
    )
    reported = sum(int(count) for _, count in warnings)
    lost = load.acknowledged - saved_bodies(folder).keys()
    sys.stdout.write(
        f"\nlistener: {len(load.acknowledged)} acknowledged, {cuts} cuts of the log, {len(lost)} lost, "
        f"{reported} reported as lost, {load.unsaved} got a 500, the store was damaged {moved} times\n"
    )
    assert len(lost) <= reported or any(at_least for at_least, _ in warnings)
    assert load.unsaved
