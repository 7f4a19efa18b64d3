"""What filters compare, in memory, as columns of one byte per capture. Pure.

Selecting, counting and finding runs of bytes are single calls of the interpreter, so that a query over a million
captures takes milliseconds, and reads none of their rows. A million captures take 12 MB.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, islice, product
from typing import Any, NamedTuple

from port_hook_cli.captures.database.rows import text_column
from port_hook_cli.captures.index.query import HANDLER_FAILED, NO_RESPONSE, STATUS_CLASSES, CaptureQuery
from port_hook_cli.invocations.models import Status

_ROWS_PER_CHUNK = 4096
_ROWS_PER_PART = 256
_FIRST_FAILURE = 400
_RUN = re.compile(b"\x01+")
_ALL, _GONE = b"\x01", 0

# The codes of verdicts; 0 is any other text.
_VERDICTS = defaultdict(int, {str(status.value): code for code, status in enumerate(Status, 1)})
_NO_ACTION, _OTHER_ACTION = 0, 255

# A status is in a class, missing, or outside the classes: below or above them.
_LOW, _HIGH = "low", "high"
_RESPONSES = (NO_RESPONSE, *STATUS_CLASSES, _LOW, _HIGH)
_HANDLERS = (*_RESPONSES, HANDLER_FAILED)
_OUTCOMES = {outcome: code for code, outcome in enumerate(product((True, False), _RESPONSES, _HANDLERS), 1)}


ColumnRow = tuple[int, float, Any, Any, int, int | None, int | None, int | None]
"""A capture in the columns: number, time, verdict, action, whether it counts as verified, and its outcome."""


class Spans(NamedTuple):
    """Numbers of captures, newest first, as spans (newest, oldest) of consecutive ones."""

    spans: tuple[tuple[int, int], ...]
    matches: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """Captures over time: equal parts from `since_s` to `until_s` (epoch seconds), each (all, failed)."""

    since_s: float
    until_s: float
    buckets: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Chunk:
    """Some captures in the order of their numbers, and the bounds of their times."""

    seqs: Sequence[int]
    moments: array[float]
    verdicts: bytearray
    actions: bytearray
    outcomes: bytearray
    earliest: float
    latest: float

    def position(self, seq: int) -> int | None:
        """Return the position of a number, None if it is missing."""
        if isinstance(self.seqs, range):
            return seq - self.seqs.start if seq in self.seqs else None
        found = bisect_left(self.seqs, seq)
        return found if found < len(self.seqs) and self.seqs[found] == seq else None


class IndexColumns:
    """The columns of all captures in the index."""

    def __init__(self) -> None:
        self.count = 0
        self._chunks: list[_Chunk] = []
        self._actions = _ActionCodes({None: _NO_ACTION})

    def add(self, rows: Sequence[ColumnRow]) -> None:
        """Add captures that are all newer, or all older, than the present ones; their numbers ascend."""
        parts = [rows[start : start + _ROWS_PER_CHUNK] for start in range(0, len(rows), _ROWS_PER_CHUNK)]
        is_older = self._chunks and rows and rows[0][0] < self._chunks[0].seqs[0]
        for part in reversed(parts) if is_older else parts:
            self._add(part)

    def change(self, seq: int, response: int | None, handler: int | None, fault: int | None) -> None:
        """Set the outcome of a capture."""
        chunk = self._chunk_of(seq)
        at = None if chunk is None else chunk.position(seq)
        if chunk is not None and at is not None and chunk.outcomes[at] != _GONE:
            is_verified = chunk.outcomes[at] <= len(_OUTCOMES) // 2
            chunk.outcomes[at] = _outcome(is_verified, response, handler, fault)

    def forget(self, seqs: Iterable[int]) -> None:
        """Remove captures."""
        for seq in seqs:
            chunk = self._chunk_of(seq)
            at = None if chunk is None else chunk.position(seq)
            if chunk is not None and at is not None and chunk.outcomes[at] != _GONE:
                chunk.outcomes[at] = _GONE
                self.count -= 1
        self._chunks = [chunk for chunk in self._chunks if any(chunk.outcomes)]

    def count_between(self, low: int, high: int) -> int:
        """Return how many captures have numbers from `low` to `high`; 0 if `high` is the lower one."""
        return sum(
            bisect_right(chunk.seqs, high) - bisect_left(chunk.seqs, low) - _gone(chunk, low, high)
            for chunk in self._chunks
            if chunk.seqs[0] <= high and chunk.seqs[-1] >= low <= high
        )

    def can_select(self, query: CaptureQuery) -> bool:
        """Return whether the columns have everything that `query` asks for."""
        action = text_column(query.action)
        is_known = action in self._actions or len(self._actions) < _OTHER_ACTION
        return is_known and not query.text and query.run_id is None and query.id_prefix is None

    def page(self, query: CaptureQuery, newest: int, after: int, limit: int, *, oldest_first: bool) -> list[int]:
        """Return the numbers of at most `limit` matches up to `newest` and above `after`."""
        selection = _Selection(query, self._actions)
        chunks = self._chunks if oldest_first else reversed(self._chunks)
        inside = (chunk for chunk in chunks if chunk.seqs[0] <= newest and chunk.seqs[-1] > after)
        found = (
            chunk.seqs[at]
            for chunk in inside
            for at in _positions(
                selection.mask(chunk),
                bisect_right(chunk.seqs, after),
                bisect_right(chunk.seqs, newest),
                oldest_first=oldest_first,
            )
        )
        return list(islice(found, limit))

    def spans(self, query: CaptureQuery, max_spans: int) -> Spans:
        """Return the numbers of all matches as spans."""
        selection = _Selection(query, self._actions)
        return joined_spans(
            (run for chunk in reversed(self._chunks) for run in _runs(chunk, selection.mask(chunk))), max_spans
        )

    def histogram(self, query: CaptureQuery, *, now: float, buckets: int) -> Histogram:
        """Return matches over time, from the query's `since_s` (or the oldest match) to its `until_s` (or `now`)."""
        return self._histogram(_Selection(query, self._actions), query, now, buckets)

    def histogram_of(self, seqs: Iterable[int], query: CaptureQuery, *, now: float, buckets: int) -> Histogram:
        """Return the captures with these numbers over time, within the times of `query`."""
        return self._histogram(_Picked(self._picked(seqs)), query, now, buckets)

    def _add(self, rows: Sequence[ColumnRow]) -> None:
        chunk = self._new_chunk(rows)
        self.count += len(rows)
        if not self._chunks or chunk.seqs[0] > self._chunks[-1].seqs[-1]:
            self._append(chunk)
        else:
            self._chunks.insert(0, chunk)

    def _new_chunk(self, rows: Sequence[ColumnRow]) -> _Chunk:
        seqs, moments, verdicts, actions, *outcomes = zip(*rows, strict=True)
        return _Chunk(
            seqs=_as_range(seqs),
            moments=array("d", moments),
            verdicts=bytearray(map(_VERDICTS.__getitem__, verdicts)),
            actions=bytearray(map(self._actions.__getitem__, actions)),
            outcomes=bytearray(map(_outcome, *outcomes)),
            earliest=min(moments),
            latest=max(moments),
        )

    def _append(self, chunk: _Chunk) -> None:
        last = self._chunks[-1] if self._chunks else None
        if last is None or len(last.seqs) + len(chunk.seqs) > _ROWS_PER_CHUNK:
            self._chunks.append(chunk)
            return
        is_next = isinstance(last.seqs, range) and isinstance(chunk.seqs, range) and last.seqs.stop == chunk.seqs.start
        last.seqs = range(last.seqs[0], chunk.seqs[-1] + 1) if is_next else array("q", [*last.seqs, *chunk.seqs])
        last.moments += chunk.moments
        last.verdicts += chunk.verdicts
        last.actions += chunk.actions
        last.outcomes += chunk.outcomes
        last.earliest, last.latest = min(last.earliest, chunk.earliest), max(last.latest, chunk.latest)

    def _chunk_of(self, seq: int) -> _Chunk | None:
        at = bisect_right(self._chunks, seq, key=lambda chunk: chunk.seqs[0])
        return self._chunks[at - 1] if at else None

    def _picked(self, seqs: Iterable[int]) -> dict[int, bytearray]:
        """Return the masks of the chunks that have these numbers, by the chunks' first numbers."""
        masks: dict[int, bytearray] = {}
        for seq in seqs:
            chunk = self._chunk_of(seq)
            at = None if chunk is None else chunk.position(seq)
            if chunk is not None and at is not None and chunk.outcomes[at] != _GONE:
                masks.setdefault(chunk.seqs[0], bytearray(len(chunk.seqs)))[at] = 1
        return masks

    def _histogram(self, selection: _Selection | _Picked, query: CaptureQuery, now: float, buckets: int) -> Histogram:
        since = self._earliest(selection) if query.since_s is None else query.since_s
        until = now if query.until_s is None else query.until_s
        since = until if since is None else min(since, until)
        counts = _Counts(since, max((until - since) / buckets, 1e-9), [[0, 0] for _ in range(buckets)])
        for chunk in self._chunks:
            mask = selection.mask(chunk)
            if _ALL in mask:
                counts.add(chunk, mask)
        return Histogram(since, until, tuple((total, failed) for total, failed in counts.totals))

    def _earliest(self, selection: _Selection | _Picked) -> float | None:
        """Return the time of the oldest match."""
        earliest: float | None = None
        for chunk in sorted(self._chunks, key=lambda chunk: chunk.earliest):
            if earliest is not None and chunk.earliest >= earliest:
                break
            moments = list(compress(chunk.moments, selection.mask(chunk)))
            if moments:
                oldest = min(moments)
                earliest = oldest if earliest is None else min(earliest, oldest)
        return earliest


class _ActionCodes(dict[Any, int]):
    """The codes of actions; those beyond the first 254 share one."""

    def __missing__(self, action: Any) -> int:
        if len(self) >= _OTHER_ACTION:
            return _OTHER_ACTION
        self[action] = code = len(self)
        return code


class _Selection:
    """Selects the captures that match a query which the columns can answer."""

    def __init__(self, query: CaptureQuery, actions: Mapping[Any, int]) -> None:
        self._query = query
        self._outcomes = _outcome_table(query)
        self._verdicts = _table([_VERDICTS[status.value] for status in query.verdicts]) if query.verdicts else None
        action = text_column(query.action)
        self._actions = None if action is None else _table([actions[action]] if action in actions else [])

    def mask(self, chunk: _Chunk) -> bytes | bytearray:
        """Return a byte for each capture of a chunk: 1 if it matches, else 0."""
        found: bytes | bytearray = chunk.outcomes.translate(self._outcomes)
        if self._verdicts is not None:
            found = _both(found, chunk.verdicts.translate(self._verdicts))
        if self._actions is not None:
            found = _both(found, chunk.actions.translate(self._actions))
        return self._within_time(chunk, found)

    def _within_time(self, chunk: _Chunk, found: bytes | bytearray) -> bytes | bytearray:
        since, until = self._query.since_s, self._query.until_s
        if (since is None or chunk.earliest >= since) and (until is None or chunk.latest < until):
            return found
        first, last = -1.0 if since is None else since, float("inf") if until is None else until
        if chunk.latest < first or chunk.earliest >= last:
            return bytes(len(found))
        return _both(found, bytes(first <= moment < last for moment in chunk.moments))


class _Picked:
    """Selects captures by their numbers."""

    def __init__(self, masks: dict[int, bytearray]) -> None:
        self._masks = masks

    def mask(self, chunk: _Chunk) -> bytes | bytearray:
        """Return a byte for each capture of a chunk: 1 if it is one of them, else 0."""
        return self._masks.get(chunk.seqs[0], b"")


@dataclass(slots=True)
class _Counts:
    """Counts captures in parts of a time: [all, failed] for each part of `width` seconds from `since`."""

    since: float
    width: float
    totals: list[list[int]]

    def add(self, chunk: _Chunk, mask: bytes | bytearray) -> None:
        """Count the captures of a chunk that `mask` selects."""
        failed = _both(mask, chunk.outcomes.translate(_FAILED))
        if not self._add_at_once(chunk.earliest, chunk.latest, mask, failed):
            for start in range(0, len(mask), _ROWS_PER_PART):
                part = slice(start, start + _ROWS_PER_PART)
                self._add_part(chunk.moments[part], mask[part], failed[part])

    def _add_part(self, moments: array[float], mask: bytes | bytearray, failed: bytes | bytearray) -> None:
        if self._add_at_once(min(moments), max(moments), mask, failed):
            return
        since, width = self.since, self.width
        parts = [int((moment - since) / width) for moment in moments]
        for part, total in Counter(compress(parts, mask)).items():
            self._count(part, total, 0)
        for part, total in Counter(compress(parts, failed)).items():
            self._count(part, 0, total)

    def _add_at_once(self, earliest: float, latest: float, mask: bytes | bytearray, failed: bytes | bytearray) -> bool:
        """Count captures that are all in one part; return whether they are."""
        part = self._part(earliest)
        if part != self._part(latest):
            return False
        self._count(part, mask.count(_ALL), failed.count(_ALL))
        return True

    def _count(self, part: int, total: int, failed: int) -> None:
        counted = self.totals[max(0, min(part, len(self.totals) - 1))]
        counted[0] += total
        counted[1] += failed

    def _part(self, moment: float) -> int:
        return int((moment - self.since) / self.width)


def joined_spans(runs: Iterable[tuple[int, int]], max_spans: int) -> Spans:
    """Return runs (newest, oldest) of matches, newest first, as spans: at most `max_spans`."""
    spans: list[tuple[int, int]] = []
    matches, last = 0, -1
    for newest, oldest in runs:
        if newest == last - 1:
            spans[-1] = (spans[-1][0], oldest)
        elif len(spans) == max_spans:
            return Spans(tuple(spans), matches, is_complete=False)
        else:
            spans.append((newest, oldest))
        matches += newest - oldest + 1
        last = oldest
    return Spans(tuple(spans), matches, is_complete=True)


def _runs(chunk: _Chunk, mask: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield the runs of consecutive numbers that `mask` selects, newest first."""
    seqs = chunk.seqs
    if isinstance(seqs, range):
        first = seqs.start
        return reversed([(first + run.end() - 1, first + run.start()) for run in _RUN.finditer(mask)])
    return ((seqs[at], seqs[at]) for at in _positions(mask, 0, None, oldest_first=False))


def _positions(mask: bytes | bytearray, start: int, end: int | None, *, oldest_first: bool) -> Iterator[int]:
    """Yield where `mask` is 1."""
    end = len(mask) if end is None else end
    at = mask.find(_ALL, start, end) if oldest_first else mask.rfind(_ALL, start, end)
    while at >= 0:
        yield at
        at = mask.find(_ALL, at + 1, end) if oldest_first else mask.rfind(_ALL, start, at)


def _gone(chunk: _Chunk, low: int, high: int) -> int:
    """Return how many of the captures from `low` to `high` were dropped."""
    return chunk.outcomes.count(_GONE, bisect_left(chunk.seqs, low), bisect_right(chunk.seqs, high))


def _as_range(seqs: Sequence[int]) -> Sequence[int]:
    """Return ascending numbers as a range if they are consecutive, which is usual."""
    is_whole = seqs[-1] - seqs[0] + 1 == len(seqs)
    return range(seqs[0], seqs[-1] + 1) if is_whole else array("q", seqs)


def _both(mask: bytes | bytearray, other: bytes | bytearray) -> bytes:
    return (int.from_bytes(mask, "little") & int.from_bytes(other, "little")).to_bytes(len(mask), "little")


def _table(codes: Iterable[int]) -> bytes:
    """Return the table for `bytes.translate` that maps these codes to 1 and all others to 0."""
    table = bytearray(256)
    for code in codes:
        table[code] = 1
    return bytes(table)


def _outcome_table(query: CaptureQuery) -> bytes:
    return _table(
        code
        for (_, response, handler), code in _OUTCOMES.items()
        if query.response in {None, response} and query.handler in {None, handler}
    )


@lru_cache(maxsize=1024)
def _outcome(is_verified: int, response: int | None, handler: int | None, fault: int | None) -> int:
    return _OUTCOMES[bool(is_verified), _status_class(response), HANDLER_FAILED if fault else _status_class(handler)]


def _status_class(status: int | None) -> str:
    if status is None:
        return NO_RESPONSE
    name = f"{status // 100}xx"
    return name if name in STATUS_CLASSES else _HIGH if status >= _FIRST_FAILURE else _LOW


_FAILED = _table(
    code
    for (is_verified, response, handler), code in _OUTCOMES.items()
    if not is_verified or response in {"4xx", "5xx", _HIGH} or handler == HANDLER_FAILED
)
