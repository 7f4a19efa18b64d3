"""Captures for the inspector's page: one index, read in threads, one reader at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from port_hook_cli.captures.index import CaptureIndex, IndexState, Listed, Step
from port_hook_cli.captures.query import CaptureQuery
from port_hook_cli.inspector import records
from port_hook_cli.inspector.json_levels import find, level
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.text.secret import Secret

T = TypeVar("T")

_KEPT_DOCUMENTS = 4
_IDLE_TEXTS = 100
_MAX_REPLAYS = 50


class Captures:
    """Reads captures from a store. Every method runs its work in a thread, so the event loop goes on meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index: CaptureIndex | None = None
        self._lock = asyncio.Lock()
        self._documents: OrderedDict[tuple[str, str], Any] = OrderedDict()

    async def open(self) -> None:
        """Open the store; raises StoreError."""
        self._index = await asyncio.to_thread(CaptureIndex, self._path)

    async def close(self) -> None:
        """Drop the index."""
        async with self._lock:
            if self._index is not None:
                await asyncio.to_thread(self._index.close)

    async def catch_up(self, *, texts: int = _IDLE_TEXTS) -> Step:
        """Bring the index up to date in one bounded step; raises StoreError."""
        return await self._do(lambda index: index.catch_up(texts=texts))

    async def state(self) -> IndexState:
        """Return how much of the store is in the index."""
        return await self._do(lambda index: index.state)

    async def newest(self) -> int:
        """Return the number of the newest capture."""
        return await self._do(lambda index: index.newest)

    async def page(
        self, query: CaptureQuery, *, newest: int | None, limit: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return a page of rows, newest first, and the number at which the next page starts."""

        def read(index: CaptureIndex) -> tuple[list[dict[str, Any]], int | None]:
            seqs = index.page(query, newest=newest, limit=limit + 1)
            following = seqs[limit] if len(seqs) > limit else None
            return [records.row_record(row) for row in index.listed(seqs[:limit])], following

        return await self._do(read)

    async def arrivals(self, query: CaptureQuery, *, after: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return the matches above `after`, oldest first, and whether there are more than `limit`."""

        def read(index: CaptureIndex) -> tuple[list[dict[str, Any]], bool]:
            seqs = index.page(query, after=after, limit=limit + 1, oldest_first=True)
            return [records.row_record(row) for row in index.listed(seqs[:limit])], len(seqs) > limit

        return await self._do(read)

    async def rows(self, seqs: list[int]) -> list[dict[str, Any]]:
        """Return the rows with these numbers."""
        return await self._do(lambda index: [records.row_record(row) for row in index.listed(seqs)])

    async def spans(self, query: CaptureQuery) -> dict[str, Any]:
        """Return the numbers of all matches."""
        return await self._do(lambda index: records.spans_record(index.spans(query)))

    async def histogram(self, query: CaptureQuery, *, now: float, buckets: int) -> dict[str, Any]:
        """Return matches over time."""
        return await self._do(lambda index: records.histogram_record(index.histogram(query, now=now, buckets=buckets)))

    async def get(self, name: str) -> Exchange:
        """Return a capture by id, a unique beginning of it, or `last`; raises StoreError."""
        return await self._do(lambda index: index.get(name)[1])

    async def last_target(self) -> str | None:
        """Return where the store's last listener forwarded to."""
        return await self._do(lambda index: index.last_target())

    async def record(
        self, name: str, *, secret: Secret | None, replay_to: Callable[[Exchange], str | None]
    ) -> dict[str, Any]:
        """Return a capture in full; raises StoreError."""

        def read(index: CaptureIndex) -> dict[str, Any]:
            seq, exchange = index.get(name)
            replays = index.listed(index.replays_of(exchange.invocation.id, limit=_MAX_REPLAYS))
            truncated = exchange.invocation.truncated
            listed = Listed(seq, exchange, truncated.size if truncated else len(exchange.invocation.body))
            return records.capture_record(listed, replays=replays, secret=secret, replay_to=replay_to(exchange))

        return await self._do(read)

    async def body(self, name: str, part: str) -> bytes:
        """Return the exact bytes of a part of a capture; raises StoreError."""
        return _part(await self.get(name), part)

    async def level(self, name: str, part: str, pointer: str, *, offset: int, limit: int) -> dict[str, Any]:
        """Return one level of a JSON body; raises StoreError, NoSuchValue, and ValueError if it is not JSON."""
        document = await self._document(name, part)
        return await asyncio.to_thread(level, document, pointer, offset=offset, limit=limit)

    async def find(self, name: str, part: str, text: str) -> dict[str, Any]:
        """Return the pointers of members with `text`; raises as `level` does."""
        document = await self._document(name, part)
        return await asyncio.to_thread(find, document, text)

    async def _document(self, name: str, part: str) -> Any:
        exchange = await self.get(name)
        key = (exchange.invocation.id, part)
        if key not in self._documents:
            self._documents[key] = await asyncio.to_thread(_parse, exchange, part)
            while len(self._documents) > _KEPT_DOCUMENTS:
                self._documents.popitem(last=False)
        self._documents.move_to_end(key)
        return self._documents[key]

    async def _do(self, read: Callable[[CaptureIndex], T]) -> T:
        async with self._lock:
            assert self._index is not None
            return await asyncio.to_thread(read, self._index)


def _part(exchange: Exchange, part: str) -> bytes:
    if part == "delivery":
        return exchange.delivery.body if exchange.delivery else b""
    if part == "response":
        return exchange.response.body if exchange.response else b""
    return exchange.invocation.body


def _parse(exchange: Exchange, part: str) -> Any:
    import json

    if part == "request":
        if exchange.payload.problem:
            raise ValueError(exchange.payload.problem)
        return exchange.payload.document
    try:
        return json.loads(_part(exchange, part))
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply to read") from error
