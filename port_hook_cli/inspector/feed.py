"""Server-sent events: what happens in the store, told to each page that is open.

A page gets what the store has after the number it knows, so one that slept, or reads slowly, catches up from the store
and costs no memory here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from port_hook_cli.captures.index import Step
from port_hook_cli.captures.query import CaptureQuery
from port_hook_cli.errors import PortHookError
from port_hook_cli.inspector.reading import Captures

MAX_ROWS = 50
"""How many rows one event has at most. A page that is further behind is told to load its list again."""

# The listener is in the same process, so the feed takes turns with it: it looks into the store at most 20 times a
# second, 3 times while very much arrives, rarely while no page is open, and it indexes texts only while little arrives.
_TICK_S = 0.05
_BUSY_TICK_S = 0.3
_BUSY_ROWS = 150
_POLL_S = 0.2
_UNWATCHED_S = 1.0
_INDEXING_S = 0.005
_BETWEEN_RESETS_S = 0.5
_HEARTBEAT_S = 15.0
_TEXTS = 100


class Feed:
    """Follows the store and wakes the pages. The listener calls `touch`; without one, the store is polled."""

    def __init__(self, captures: Captures, session: Callable[[], Mapping[str, Any]]) -> None:
        self._captures = captures
        self._session = session
        self._touched = asyncio.Event()
        self._news = asyncio.Condition()
        self._version = 0
        self._resets = 0
        self._changed: list[tuple[int, int]] = []  # (version, number of a capture)
        self._task: asyncio.Task[None] | None = None
        self._open = 0
        self._is_busy = False
        self._newest = 0
        self.problem = ""

    def start(self) -> None:
        """Begin to follow the store."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop, and end all streams."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def touch(self) -> None:
        """Say that the store has changed."""
        self._touched.set()

    async def announce(self) -> None:
        """Wake all pages, as the session has changed."""
        await self._wake()

    async def stream(self, query: CaptureQuery, after: int | None, send: Callable[[bytes], Any]) -> None:
        """Send events from `after` (None: from now) until cancelled or `send` raises."""
        self._open += 1
        self._touched.set()
        try:
            await self._stream(query, after, send)
        finally:
            self._open -= 1

    async def _stream(self, query: CaptureQuery, after: int | None, send: Callable[[bytes], Any]) -> None:
        at = await self._captures.newest() if after is None else after
        version, resets = self._version, self._resets
        session = self._session()
        await send(event("session", session, at))
        while True:
            if self._session() != session:
                session = self._session()
                await send(event("session", session, at))
            changed = [seq for since, seq in self._changed if since > version and seq <= at]
            version = self._version
            if self._resets != resets:
                resets, at = self._resets, await self._captures.newest()
                await send(event("reset", {}, at))
                continue
            added, is_more = await self._captures.arrivals(query, after=at, limit=MAX_ROWS)
            rows = await self._captures.rows(changed[-MAX_ROWS:]) if changed else []
            newest = await self._captures.newest()
            if is_more:
                at = newest
                await send(event("reset", {}, at))
                await asyncio.sleep(_BETWEEN_RESETS_S)
            elif added or rows:
                at = max([at, *(row["seq"] for row in added)])
                await send(event("captures", {"added": added, "changed": rows}, at))
            if not await self._news_since(version):
                await send(b": still here\n\n")

    async def _news_since(self, version: int) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARTBEAT_S), self._news:
                await self._news.wait_for(lambda: self._version != version)
            return True
        return False

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            self._touched.clear()
            is_behind = await self._catch_up()
            if not self._open:
                await asyncio.sleep(_INDEXING_S if is_behind and not self._is_busy else _UNWATCHED_S)
            elif is_behind and not self._is_busy:
                await asyncio.sleep(_INDEXING_S)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._touched.wait(), _POLL_S)
                tick = _BUSY_TICK_S if self._is_busy else _TICK_S
                await asyncio.sleep(max(0.0, started + tick - clock()))

    async def _catch_up(self) -> bool:
        """Bring the index up to date in one step, wake the pages, and return whether there is more to do."""
        before = self._newest
        try:
            step = await self._captures.catch_up(texts=0 if self._is_busy else _TEXTS)
        except PortHookError as error:
            self.problem = error.message
            return False
        self.problem = ""
        self._newest = step.newest
        self._is_busy = step.newest - before > (_BUSY_ROWS if self._is_busy else MAX_ROWS)
        if step.has_new or step.changed or step.is_reset:
            self._note(step)
            await self._wake()
        return step.is_behind

    def _note(self, step: Step) -> None:
        self._resets += step.is_reset
        self._changed += [(self._version + 1, seq) for seq in step.changed]
        del self._changed[: -5 * MAX_ROWS]

    async def _wake(self) -> None:
        async with self._news:
            self._version += 1
            self._news.notify_all()


def event(name: str, data: Mapping[str, Any], at: int) -> bytes:
    """Return a server-sent event; its id is the number of the newest capture that the page knows then."""
    return f"id: {at}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
