"""Server-sent events that tell each open page about changes in the store.

A page gets the changes after the number that it knows. So a slow or suspended page catches up from the store, and the
server doesn't queue events for the page.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from port_hook_cli.captures.browsing.following import StoreChange
from port_hook_cli.captures.browsing.query import CaptureQuery
from port_hook_cli.errors import StoreError
from port_hook_cli.inspector.reading import CaptureReader

MAX_ROWS = 50
"""The maximum number of rows in one event. A page that is further behind reloads its list."""

_MAX_CHANGED = 20 * MAX_ROWS
# The feed shares the event loop with the listener, which runs in the same process. So the feed reads the store at most
# 20 times a second, 3 times a second during a burst, and rarely without an open page.
_TICK_S = 0.05
_BUSY_TICK_S = 0.3
_BUSY_ROWS = 150
_POLL_S = 0.2
_UNWATCHED_S = 1.0
_BETWEEN_RESETS_S = 0.5
_HEARTBEAT_S = 15.0
_FINISHING_S = 0.5
_LOST = -1


_POSITION = r"([0-9a-f]{16})-([0-9]{1,15})-([0-9]{1,16})"
_RESET = b"\nevent: reset\n"


class Position(NamedTuple):
    """The state of a list: it includes changes up to `version` of the inspector `run`, and captures up to `latest`."""

    run: str
    version: int
    latest: int

    def __str__(self) -> str:
        return f"{self.run}-{self.version}-{self.latest}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Return the position that this text describes, or None for any other text."""
        found = re.fullmatch(_POSITION, text)
        return cls(found[1], int(found[2]), int(found[3])) if found else None


@dataclass(slots=True, eq=False)
class _Place:
    """The state of an open page. The page knows captures up to the number `at`, and changes up to `version`."""

    at: int
    version: int


class Feed:
    """Follows the store and wakes the pages. The listener calls `touch`.

    Without a listener, the feed polls the store.
    """

    def __init__(
        self,
        captures: CaptureReader,
        session: Callable[[], Mapping[str, Any]],
        held: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self._captures = captures
        self._session = session
        self._held = held
        self._touched = asyncio.Event()
        self._woken = asyncio.Condition()
        self._version = 0
        self._run = secrets.token_hex(8)
        self._changed: list[tuple[int, int]] = []  # (version, number of a capture)
        self._renumbered = 0  # since this version, numbers may mean other captures
        self._forgotten = 0  # the version of the latest change removed from the list
        self._task: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self._refreshes: set[asyncio.Task[None]] = set()
        self._next_refresh: asyncio.Task[None] | None = None
        self._places: list[_Place] = []  # the places of the open streams
        self._is_finishing = False
        self._latest = 0
        self._is_busy = False
        self.problem = ""

    @property
    def version(self) -> Position:
        """The current position of a list."""
        return Position(self._run, self._version, self._latest)

    def start(self) -> None:
        """Start to follow the store."""
        self._task = asyncio.create_task(self._follow())

    async def finish(self) -> None:
        """Send the current contents of the store to the open pages, within a moment, before the feed ends."""
        self._is_finishing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_FINISHING_S):
                await self.refresh()
                async with self._woken:
                    await self._woken.wait_for(lambda: all(place.version == self._version for place in self._places))

    async def close(self) -> None:
        """Stop following the store, and end all streams."""
        for task in self._refreshes:
            task.cancel()
        await asyncio.gather(*self._refreshes, return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def touch(self) -> None:
        """Report a change of the store."""
        self._touched.set()

    def tell(self) -> None:
        """Send the held requests to the pages if they have changed."""
        task = asyncio.create_task(self._wake())
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def refresh(self) -> None:
        """Check the store for changes now, and wake the pages.

        Requests that wait for the store share one refresh. The refresh continues if one of these requests is abandoned,
        because the other pages need its changes.
        """
        if self._next_refresh is None:
            self._next_refresh = asyncio.create_task(self._refresh())
            self._refreshes.add(self._next_refresh)
            self._next_refresh.add_done_callback(self._refreshes.discard)
        await asyncio.shield(self._next_refresh)

    async def _refresh(self) -> None:
        async with self._refreshing:
            self._next_refresh = None  # a later request needs a new refresh
            await self._catch_up()

    async def stream(
        self, query: CaptureQuery, after: int | None, send: Callable[[bytes], Any], *, position: str | None = None
    ) -> None:
        """Send events until the stream is cancelled or `send` raises.

        The events start after capture `after`, at the end of a list with this position, or with the next change.
        """
        place = await self._place(after, position)
        self._places.append(place)
        self._touched.set()
        try:
            await self._stream(query, place, send)
        finally:
            self._places.remove(place)

    async def _place(self, after: int | None, position: str | None) -> _Place:
        known = Position.parse(position) if position else None
        latest = known.latest if known else await self._captures.latest()
        version = self._version
        if position:  # a position of another run is unknown
            version = min(known.version, version) if known and known.run == self._run else _LOST
        return _Place(latest if after is None else after, version)

    async def _stream(self, query: CaptureQuery, place: _Place, send: Callable[[bytes], Any]) -> None:
        told: dict[str, Mapping[str, Any]] = {}
        while True:
            await self._tell_state(told, place, send)
            version = self._version
            try:
                content = await self._news(query, place)
            except StoreError:  # the session tells the page about it
                await asyncio.sleep(_POLL_S)
                continue
            if content:
                await send(content)
            place.version = version
            if self._is_finishing:
                async with self._woken:
                    self._woken.notify_all()
            if content.startswith(_RESET, content.find(b"\n")):
                await asyncio.sleep(_BETWEEN_RESETS_S)
            if not await self._news_since(version):
                await send(b": still here\n\n")

    async def _tell_state(
        self, told: dict[str, Mapping[str, Any]], place: _Place, send: Callable[[bytes], Any]
    ) -> None:
        """Send the session and the held requests if they have changed since the last event."""
        for name, state in (("session", self._session()), ("held", self._held())):
            if state is not None and state != told.get(name):
                told[name] = state
                await send(event(name, state, place.at))

    async def _news(self, query: CaptureQuery, place: _Place) -> bytes:
        """Return the event for a page at `place`, and advance the place. Return b"" if nothing has changed."""
        changed = [seq for since, seq in self._changed if since > place.version and seq <= place.at]
        has_lost = place.version < self._forgotten or len(changed) > MAX_ROWS
        found = await self._captures.news(query, after=place.at, changed=changed[:MAX_ROWS], limit=MAX_ROWS)
        has_lost = has_lost or found.is_more or found.is_moved or found.latest < place.at
        place.at = found.latest
        if has_lost:
            return event("reset", {"renumbered": place.version < self._renumbered}, place.at)
        if found.added or found.changed:
            return event("captures", {"added": found.added, "changed": found.changed}, place.at)
        return b""

    async def _news_since(self, version: int) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARTBEAT_S), self._woken:
                await self._woken.wait_for(lambda: self._version != version)
            return True
        return False

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            self._touched.clear()
            await self._catch_up()
            # Before Python 3.12, asyncio.wait_for loses a cancellation while the store changes.
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S if self._places else _UNWATCHED_S):
                    await self._watched_and_touched()
            tick = _BUSY_TICK_S if self._is_busy else _TICK_S
            await asyncio.sleep(max(0.0, started + tick - clock()))

    async def _watched_and_touched(self) -> None:
        """Wait until the store has changed and a page is open."""
        while True:
            await self._touched.wait()
            if self._places:
                return
            self._touched.clear()

    async def _catch_up(self) -> None:
        known, change = self.problem, StoreChange()
        try:
            change = await self._captures.catch_up()
            self.problem = ""
            self._is_busy = change.latest - self._latest > (_BUSY_ROWS if self._is_busy else MAX_ROWS)
            self._latest = change.latest
        except StoreError as error:
            self.problem = error.message
        except Exception as error:  # noqa: BLE001 - the pages would wait indefinitely
            self.problem = f"port-hook cannot read the captures: {error}."
        if change.has_new or change.changed or change.is_reset or self.problem != known:
            self._note(change)
            await self._wake()

    def _note(self, change: StoreChange) -> None:
        if change.is_reset:
            self._forgotten = self._renumbered = self._version + 1
        self._changed += [(self._version + 1, seq) for seq in change.changed]
        if len(self._changed) > _MAX_CHANGED:
            self._forgotten = max(self._forgotten, self._changed[-_MAX_CHANGED - 1][0])
            del self._changed[:-_MAX_CHANGED]

    async def _wake(self) -> None:
        async with self._woken:
            self._version += 1
            self._woken.notify_all()


def event(name: str, data: Mapping[str, Any], at: int) -> bytes:
    """Return a server-sent event. The ID of the event is the number of the latest capture that the page then knows."""
    return f"id: {at}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
