"""Reads captures for the inspector's page. Threads share one open store, and one reader uses it at a time."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from port_hook_cli.captures.browsing.browser import CaptureSearch, Listed, StoreBrowser
from port_hook_cli.captures.browsing.following import StoreChange
from port_hook_cli.captures.browsing.query import NO_RESPONSE, CaptureQuery
from port_hook_cli.inspector import records
from port_hook_cli.inspector.json_levels import find, level
from port_hook_cli.invocations.models import Capture
from port_hook_cli.invocations.payload import is_workflow_run_id
from port_hook_cli.text.secret import Secret

T = TypeVar("T")

_KEPT_DOCUMENTS = 4
_MAX_REPLAYS = 50
_MAX_OF_RUN = 50


class Page(NamedTuple):
    """Rows of the list, latest first. The next page starts at number `following`.

    `top` is the number of the latest capture.
    """

    rows: list[dict[str, Any]]
    following: int | None
    top: int


class News(NamedTuple):
    """Rows for an open page. `is_more` means that one event cannot hold all new rows.

    `is_moved` means that captures on the page have started or stopped matching the page's filter. `latest` is the
    number of the last capture that the page includes after this event.
    """

    added: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    latest: int
    is_more: bool
    is_moved: bool


class CaptureReader:
    """Reads captures from a store. Every method runs in a thread, so that it doesn't block the event loop.

    A search lets other readers in every `step_s` seconds. A canceled search ends at one of these points.
    """

    def __init__(self, path: Path, *, step_s: float = 0.02) -> None:
        self._path = path
        self._step_s = step_s
        self._store: StoreBrowser | None = None
        self._lock = asyncio.Lock()
        # Readers of all captures wait for each other here, so that a page of rows waits for only one step of one
        # reader.
        self._slow_lock = asyncio.Lock()
        # When a coroutine is canceled, its thread keeps running. Other threads must not use the store until that thread
        # ends.
        self._in_thread = Lock()
        self._documents: OrderedDict[tuple[str, str], Any] = OrderedDict()

    async def open(self) -> None:
        """Open the store. Raises StoreError."""
        self._store = await asyncio.to_thread(StoreBrowser, self._path)

    async def close(self) -> None:
        """Close the store."""
        async with self._lock:
            if self._store is not None:
                await self._run(StoreBrowser.close)

    async def catch_up(self) -> StoreChange:
        """Check the store for changes, and return them. Raises StoreError."""
        change = await self._do(StoreBrowser.catch_up)
        if change.is_reset:
            self._documents.clear()
        return change

    async def count(self) -> int:
        """Return the number of captures."""
        return await self._do(StoreBrowser.number_of_captures)

    async def latest(self) -> int:
        """Return the number of the latest capture."""
        return await self._do(lambda store: store.last_seen)

    async def page(self, query: CaptureQuery, *, latest: int | None, limit: int) -> Page:
        """Return a page of rows."""

        def read(store: StoreBrowser, search: CaptureSearch) -> Page:
            seqs = search.seqs(limit + 1)
            following = seqs[limit] if len(seqs) > limit else None
            return Page([records.row_record(row) for row in store.rows(seqs[:limit])], following, search.top)

        return await self._search(lambda store: store.search(query, latest=latest), limit + 1, read)

    async def news(self, query: CaptureQuery, *, after: int, changed: list[int], limit: int) -> News:
        """Return the matching captures above `after`, and the captures whose outcome has changed."""

        def read(store: StoreBrowser, search: CaptureSearch) -> News:
            added = search.seqs(limit + 1)
            matching = store.matching(query, changed) if changed else []
            is_by_outcome = any(each is not None for each in (query.response, query.handler, query.slower_ms))
            lets_go = NO_RESPONSE in {query.response, query.handler}
            return News(
                added=[records.row_record(row) for row in store.rows(added[:limit])],
                changed=[] if is_by_outcome else [records.row_record(row) for row in store.rows(matching)],
                latest=search.top,
                is_more=len(added) > limit,
                is_moved=is_by_outcome and bool(matching or (changed and lets_go)),
            )

        return await self._search(lambda store: store.search(query, after=after, oldest_first=True), limit + 1, read)

    async def of_run(self, run_id: str) -> list[dict[str, Any]]:
        """Return the rows of the latest captures of an action, node or workflow run, oldest first."""
        is_workflow = is_workflow_run_id(run_id)
        # Only the body contains the ID of a workflow run.
        query = CaptureQuery(text=run_id) if is_workflow else CaptureQuery(run_id=run_id)

        def read(store: StoreBrowser, search: CaptureSearch) -> list[dict[str, Any]]:
            found = reversed(store.rows(search.seqs(_MAX_OF_RUN)))
            return [
                records.row_record(each)
                for each in found
                if not is_workflow or each.capture.payload.workflow_run == run_id
            ]

        return await self._search(lambda store: store.search(query), _MAX_OF_RUN, read)

    async def spans(self, query: CaptureQuery) -> dict[str, Any]:
        """Return the numbers of all captures that match."""
        search = await self._find_all(query)
        return records.spans_record(search.spans())

    async def histogram(self, query: CaptureQuery, *, now: float, buckets: int) -> dict[str, Any]:
        """Return the number of matching captures in each period."""
        search = await self._find_all(query)
        return records.histogram_record(search.histogram(now=now, buckets=buckets))

    async def get(self, name: str) -> Capture:
        """Return a capture by its ID, by the unique start of its ID, or by a name such as `last`. Raises StoreError."""
        return await self._do(lambda store: store.find(name)[1])

    async def with_row(self, name: str) -> tuple[dict[str, Any], Capture]:
        """Return a capture and its row in the list. Raises StoreError."""

        def read(store: StoreBrowser) -> tuple[dict[str, Any], Capture]:
            seq, capture = store.find(name)
            return records.row_record(_listed(seq, capture)), capture

        return await self._do(read)

    async def last_target(self) -> str | None:
        """Return the target of the store's last listener."""
        return await self._do(lambda store: store.last_target())

    async def record(
        self, name: str, *, secret: Secret | None, replay_to: Callable[[Capture], str | None]
    ) -> dict[str, Any]:
        """Return a capture in full. Raises StoreError."""

        def read(store: StoreBrowser) -> dict[str, Any]:
            seq, capture = store.find(name)
            replays = store.rows(store.replays_of(capture.invocation.id, limit=_MAX_REPLAYS))
            return records.capture_record(
                _listed(seq, capture), replays=replays, secret=secret, replay_to=replay_to(capture)
            )

        return await self._do(read)

    async def body(self, name: str, part: str) -> bytes:
        """Return the raw bytes of a part of a capture. Raises StoreError."""
        return _part(await self.get(name), part)

    async def level(self, name: str, part: str, pointer: str, *, offset: int, limit: int) -> dict[str, Any]:
        """Return one level of a JSON body.

        Raises StoreError, NoSuchValue, and ValueError for a body that is not JSON.
        """
        document = await self._document(name, part)
        return await asyncio.to_thread(level, document, pointer, offset=offset, limit=limit)

    async def find(self, name: str, part: str, text: str) -> dict[str, Any]:
        """Return the pointers of the members that contain `text`. Raises the same errors as `level`."""
        document = await self._document(name, part)
        return await asyncio.to_thread(find, document, text)

    async def _document(self, name: str, part: str) -> Any:
        capture = await self.get(name)
        key = (capture.invocation.id, part)
        if key not in self._documents:
            self._documents[key] = await asyncio.to_thread(_parse, capture, part)
            while len(self._documents) > _KEPT_DOCUMENTS:
                self._documents.popitem(last=False)
        self._documents.move_to_end(key)
        return self._documents[key]

    async def _find_all(self, query: CaptureQuery) -> CaptureSearch:
        """Return a complete search. Only one reader at a time may search all captures."""
        async with self._slow_lock:
            return await self._search(lambda store: store.search(query), math.inf, lambda _, search: search)

    async def _search(
        self,
        begin: Callable[[StoreBrowser], CaptureSearch],
        enough: float,
        read: Callable[[StoreBrowser, CaptureSearch], T],
    ) -> T:
        """Search in steps, so that other readers can read between the steps.

        Return the result of `read` over the matches.
        """
        search: CaptureSearch | None = None

        def step(store: StoreBrowser) -> tuple[T] | None:
            nonlocal search
            search = search or begin(store)
            is_done = store.advance(search, enough, for_s=self._step_s)
            return (read(store, search),) if is_done else None

        while (found := await self._do(step)) is None:
            pass
        return found[0]

    async def _do(self, read: Callable[[StoreBrowser], T]) -> T:
        async with self._lock:
            return await self._run(read)

    async def _run(self, read: Callable[[StoreBrowser], T]) -> T:
        store = self._store
        assert store is not None

        def work() -> T:
            with self._in_thread:
                return read(store)

        return await asyncio.to_thread(work)


def _listed(seq: int, capture: Capture) -> Listed:
    truncated = capture.invocation.truncated
    return Listed(seq, capture, truncated.size if truncated else len(capture.invocation.body))


def _part(capture: Capture, part: str) -> bytes:
    if part == "delivery":
        return capture.delivery.body if capture.delivery else b""
    if part == "response":
        return capture.response.body if capture.response else b""
    return capture.invocation.body


def _parse(capture: Capture, part: str) -> Any:
    import json

    if part == "request":
        if capture.payload.problem:
            raise ValueError(capture.payload.problem)
        return capture.payload.document
    try:
        return json.loads(_part(capture, part))
    except RecursionError as error:
        raise ValueError("too deeply nested JSON") from error
    except ValueError as error:
        raise ValueError("not JSON") from error
