"""Server-sent events: none is lost, and a page that doesn't read doesn't block others."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.captures.browsing.following import StoreChange
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.inspector.api_routes import MAX_STREAMS
from port_hook_cli.inspector.feed import Feed
from port_hook_cli.inspector.reading import CaptureReader
from port_hook_cli.invocations.models import Capture, Response
from port_hook_cli.runtime import Runtime
from tests.databases import edit, replace_database
from tests.factories import NOW, a_body, a_capture, a_document, an_invocation, signed
from tests.inspectors import Events, beside_listener, keep, over_store

MakeRuntime = Callable[..., Runtime]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "captures.db"
    keep(path, some(1))
    return path


def some(count: int, start: int = 0, *, padding: int = 0, **overrides: Any) -> list[Capture]:
    return [
        a_capture(
            an_invocation(a_body(a_document(padding="x" * padding)), id=f"{number:012x}", received_at=NOW + number),
            **overrides,
        )
        for number in range(start, start + count)
    ]


async def added(events: Events, count: int) -> list[int]:
    """Return the numbers of the next `count` captures."""
    seqs: list[int] = []
    while len(seqs) < count:
        seqs += [row["seq"] for row in (await events.next("captures"))["added"]]
    return seqs


async def test_first_page_has_captures_saved_before_its_request(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        assert [row["seq"] for row in (await client.get("/api/captures"))["captures"]] == [1]
        for number in range(1, 6):
            keep(store, some(1, number))
            assert (await client.get("/api/captures"))["captures"][0]["seq"] == number + 1


async def test_arrival_and_its_outcome_are_sent(runtime: MakeRuntime, store: Path) -> None:
    async with beside_listener(runtime(), store) as client, client.events() as events:
        assert client.serving is not None
        await events.next("session")
        headers = dict(signed(a_body(), timestamp=str(int(runtime().now()))))
        headers.pop("Host")
        async with asyncio.timeout(30):
            await client.http.post(client.serving.url, content=a_body(), headers=headers)
        (row,) = (await events.next("captures"))["added"]
        if row["response"] is None:
            (row,) = (await events.next("captures"))["changed"]
        assert (row["verdict"], row["response"]) == ("valid", 200)


async def test_stream_resumes_after_the_last_event_without_a_gap(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        async with client.events() as events:
            name, session = await events.any()  # from here on, the stream has everything that is saved
            assert (name, session["mode"], events.last_id) == ("session", "store", "1")
            keep(store, some(3, 1))
            assert await added(events, 3) == [2, 3, 4]
        keep(store, some(3, 4))
        async with client.events(headers={"last-event-id": events.last_id}) as events:
            assert await added(events, 3) == [5, 6, 7]
        async with client.events(after=5) as events:
            assert await added(events, 2) == [6, 7]
    async with over_store(runtime(), store) as client, client.events(after=5) as events:
        assert await added(events, 2) == [6, 7]


async def test_page_reloads_its_list_when_it_is_too_far_behind_or_ahead(runtime: MakeRuntime, store: Path) -> None:
    keep(store, some(300, 1))
    async with over_store(runtime(), store) as client:
        for number, after in enumerate((0, 99_999), 301):
            async with client.events(after=after) as events:
                assert await events.next("reset") == {"renumbered": False}
                assert events.last_id == str(number)
                keep(store, some(1, number))
                assert await added(events, 1) == [number + 1]


async def test_outcome_between_list_and_events_is_sent(runtime: MakeRuntime, store: Path) -> None:
    (pending,) = some(1, 1)
    with open_store(store, store.parent) as opened:
        async with over_store(runtime(), store) as client:
            opened.add([pending])
            async with client.events(after=1) as events:
                await added(events, 1)
                page = await client.get("/api/captures")
                assert page["captures"][0]["response"] is None
                opened.complete([replace(pending, response=Response(status=200))])
                assert (await events.next("captures"))["changed"]
            async with client.events(position=page["position"]) as events:
                found = await events.next("captures")
                assert [(row["seq"], row["response"]) for row in found["changed"]] == [(2, 200)]
                assert found["added"] == []
            opened.add(some(1, 2))
            async with client.events(position=page["position"]) as events:
                assert await added(events, 1) == [3]


async def test_page_reloads_its_list_for_a_position_of_another_inspector(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        position = (await client.get("/api/captures"))["position"]
    async with over_store(runtime(), store) as client:
        for unknown in (position, "nonsense", "0" * 16 + "-99-99"):
            async with client.events(position=unknown) as events:
                assert await events.next("reset") == {"renumbered": True}
        known = (await client.get("/api/captures"))["position"]
        async with client.events(position=known) as events:
            keep(store, some(1, 1))
            assert await added(events, 1) == [2]


async def test_filters_apply_to_new_and_changed_captures(runtime: MakeRuntime, store: Path) -> None:
    with open_store(store, store.parent) as opened:
        async with over_store(runtime(), store) as client, client.events(action="delete_vm") as events:
            await events.next("session")
            mine = a_capture(an_invocation(a_body(a_document(action="delete_vm")), id="aa", received_at=NOW + 9))
            other = some(1, 20)[0]
            opened.add([other, mine])
            assert await added(events, 1) == [3]
            opened.complete([replace(each, response=Response(status=200)) for each in (other, mine)])
            changed = (await events.next("captures"))["changed"]
            assert [row["seq"] for row in changed] == [3]


async def test_page_reloads_its_list_when_the_response_makes_a_capture_match(runtime: MakeRuntime, store: Path) -> None:
    with open_store(store, store.parent) as opened:
        async with over_store(runtime(), store) as client, client.events(response="5xx") as events:
            await events.next("session")
            capture = some(1, 20)[0]
            opened.add([capture])
            await client.get("/api/captures")
            async with client.events(after=1) as all_of_them:
                await added(all_of_them, 1)
            opened.complete([replace(capture, response=Response(status=500))])
            await events.next("reset")
    async with over_store(runtime(), store) as client:
        assert [row["seq"] for row in (await client.get("/api/captures", response="5xx"))["captures"]] == [2]


async def test_page_reloads_its_list_when_the_store_is_cleared_or_replaced(runtime: MakeRuntime, store: Path) -> None:
    keep(store, some(5, 1))
    async with over_store(runtime(), store) as client, client.events() as events:
        await events.next("session")
        edit(store, "DELETE FROM captures")
        assert await events.next("reset") == {"renumbered": True}
        assert (await client.get("/api/captures"))["captures"] == []
        other = store.with_name("other.db")
        keep(other, some(2))
        replace_database(store, other)
        await events.next("reset")
        assert [row["seq"] for row in (await client.get("/api/captures"))["captures"]] == [2, 1]


async def test_session_has_a_problem_until_a_missing_store_is_back(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client, client.events() as events:
        assert (await events.next("session"))["problem"] is None
        away = store.with_name("away.db")
        os.rename(store, away)  # noqa: PTH104
        assert "Capture store not found" in (await events.next("session"))["problem"]
        assert len((await client.get("/api/captures"))["captures"]) == 1
        os.rename(away, store)  # noqa: PTH104
        assert (await events.next("session"))["problem"] is None
        keep(store, some(1, 1))
        assert await added(events, 1) == [2]


async def test_locked_store_delays_only_events(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client, client.events() as events:
        await events.next("session")
        with closing(sqlite3.connect(store, isolation_level=None)) as locking:
            locking.execute("BEGIN EXCLUSIVE")
            async with asyncio.timeout(3):
                assert (await client.get("/api/session"))["count"] == 1
                assert (await client.http.get(client.opened.door.entry)).status_code == 200
            locking.execute("ROLLBACK")
        keep(store, some(1, 1))
        assert await added(events, 1) == [2]


async def test_streams_are_limited_and_a_closed_stream_frees_a_place(runtime: MakeRuntime, store: Path) -> None:
    async with over_store(runtime(), store) as client:
        async with AsyncExitStack() as stack:
            for _ in range(MAX_STREAMS):
                events = await stack.enter_async_context(client.events())
                await events.next("session")
            assert (await client.http.get("/api/events")).status_code == 429
            assert (await client.http.head("/api/events")).status_code == 405
        keep(store, some(1, 1))  # the server detects a closed page at the next write
        async with asyncio.timeout(30):
            while True:
                async with client.http.stream("GET", "/api/events") as response:
                    if response.status_code == 200:
                        break


async def test_feed_closes_at_any_moment_after_a_change(store: Path) -> None:
    for turns in range(6):
        captures = CaptureReader(store)
        await captures.open()
        feed, sent = Feed(captures, lambda: {"mode": "store"}), asyncio.Queue[bytes]()
        feed.start()
        page = asyncio.create_task(feed.stream(CaptureQuery(), None, sent.put))
        await sent.get()
        await asyncio.sleep(0.12)  # no event reports when the feed is up to date and waits
        feed.touch()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(30) as limit:
            await feed.close()
        assert not limit.expired()
        page.cancel()
        await captures.close()


class HeldReader(CaptureReader):
    """A reader with steps that wait, after reading, until `go` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps = 0
        self.go, self.has_read = asyncio.Event(), asyncio.Event()
        self.go.set()

    async def catch_up(self) -> StoreChange:
        self.steps += 1
        step = await super().catch_up()
        self.has_read.set()
        await self.go.wait()
        return step


@asynccontextmanager
async def a_held_feed(store: Path) -> AsyncIterator[tuple[HeldReader, Feed]]:
    """Yield an up-to-date feed, and its reader, whose next step waits."""
    captures = HeldReader(store)
    await captures.open()
    feed = Feed(captures, lambda: {"mode": "store"})
    await feed.refresh()
    captures.go.clear()
    captures.has_read.clear()
    try:
        yield captures, feed
    finally:
        await feed.close()
        await captures.close()


async def test_unread_stream_of_a_page_does_not_stop_other_pages(store: Path) -> None:
    stuck, shown = asyncio.Event(), asyncio.Queue[bytes]()

    async def read_only_the_session(content: bytes) -> None:
        if b"event: session" not in content:
            stuck.set()
            await asyncio.Event().wait()

    async with a_held_feed(store) as (captures, feed), asyncio.timeout(30):
        captures.go.set()
        sends = (read_only_the_session, shown.put)
        pages = [asyncio.create_task(feed.stream(CaptureQuery(), None, send)) for send in sends]
        assert b"event: session" in await shown.get()
        for number in range(1, 4):
            keep(store, some(1, number))
            await feed.refresh()
            assert b'"seq": %d' % (number + 1) in await shown.get()
            await stuck.wait()
        for page in pages:
            page.cancel()


async def test_abandoned_request_for_the_first_page_loses_no_change_for_other_pages(store: Path) -> None:
    shown: asyncio.Queue[bytes] = asyncio.Queue()
    async with a_held_feed(store) as (captures, feed), asyncio.timeout(30):
        page = asyncio.create_task(feed.stream(CaptureQuery(), None, shown.put))
        assert b"event: session" in await shown.get()
        with open_store(store, store.parent, create=False) as opened:
            opened.complete([replace(some(1)[0], response=Response(status=201))])
        abandoned = asyncio.create_task(feed.refresh())
        await captures.has_read.wait()
        abandoned.cancel()
        await asyncio.wait({abandoned})
        captures.go.set()
        await feed.refresh()
        assert b'"response": 201' in await shown.get()
        page.cancel()


async def test_waiting_requests_for_the_first_page_share_one_refresh(store: Path) -> None:
    async with a_held_feed(store) as (captures, feed), asyncio.timeout(30):
        first = asyncio.create_task(feed.refresh())
        await captures.has_read.wait()
        others = [asyncio.create_task(feed.refresh()) for _ in range(50)]
        await asyncio.sleep(0)
        captures.go.set()
        await asyncio.gather(first, *others)
        assert captures.steps == 3  # with the one at the start
