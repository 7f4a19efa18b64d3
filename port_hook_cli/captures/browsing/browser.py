"""An open store that the page and coding agents search, filter and count.

Searches don't use an index. They read 500 captures at a time, so other readers can read in between.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from port_hook_cli.captures.browsing.following import FollowedDatabase, StoreChange, StorePoint
from port_hook_cli.captures.browsing.query import (
    BYTES,
    FOUND,
    LARGEST_BODY_OF_A_ROW,
    ROW_COLUMNS,
    SIZE,
    CaptureQuery,
    FoundCapture,
    condition_of,
)
from port_hook_cli.captures.database.conditions import Condition, joined
from port_hook_cli.captures.database.opening import portable, sqlite_problems
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, Row, read_row
from port_hook_cli.captures.store.reader import Numbered, StoreReader
from port_hook_cli.captures.store.statements import StoreFilter, search
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.beginning import BEGINNING_BYTES, read_beginning
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, Payload, Status, Verdict
from port_hook_cli.invocations.payload import is_run_id

MAX_SPANS = 100_000

_ABOVE_ANY = 2**63
_RUN_ID, _ACTION = CAPTURE_COLUMNS.index("run_id"), CAPTURE_COLUMNS.index("action")
_ROW_PARAMETERS = 500
# A step of a search takes a few milliseconds, so that other readers and the end of the program wait no longer.
_READ_AT_ONCE, _BYTES_AT_ONCE = 500, 2 * 1024 * 1024
_MOST_CHANGED = 500
_ALL = "SELECT json_group_array(seq) FROM captures"


class Listed(NamedTuple):
    """A capture in a list. Bodies of more than 256 KiB and the bodies of responses are left out.

    The payload of a large body is read from the beginning of the body.
    """

    seq: int
    capture: Capture
    size: int


class Spans(NamedTuple):
    """The numbers of captures as spans (latest, oldest) of consecutive numbers, latest first."""

    spans: tuple[tuple[int, int], ...]
    matches: int
    is_complete: bool


@frozen
class Histogram:
    """Captures over time, in equal buckets from `since_s` to `until_s` (epoch seconds). A bucket is (all, failed).

    `rejected` contains the number of rejected captures in each bucket.
    """

    since_s: float
    until_s: float
    buckets: tuple[tuple[int, int], ...]
    rejected: tuple[int, ...] = ()


@dataclass(slots=True)
class CaptureSearch:
    """The captures that match a query, which `StoreBrowser.advance` finds in bounded steps.

    `matches` are the captures found so far, latest first unless `oldest_first` is set. `latest` and `after` are the
    bounds of the remaining search. `known` are matches below `after` from an earlier search. `point` is the state of
    the store when the search began.
    """

    query: CaptureQuery
    latest: int
    after: int = 0
    oldest_first: bool = False
    matches: list[FoundCapture] = field(default_factory=list)
    known: Sequence[FoundCapture] = ()
    is_done: bool = False
    point: StorePoint = field(default_factory=StorePoint)

    @property
    def top(self) -> int:
        """The number of the latest capture when the search began."""
        return self.point.latest

    def seqs(self, limit: int | None = None) -> list[int]:
        """Return the numbers of the captures found, at most the first `limit`."""
        return [match.seq for match in self.matches[:limit]]

    def spans(self, max_spans: int = MAX_SPANS) -> Spans:
        """Return the numbers of the captures found as spans."""
        return spans_of(self.seqs(), max_spans)

    def histogram(self, *, now: float, buckets: int) -> Histogram:
        """Return the captures found over time, up to the end of the query or `now` (in seconds since the epoch)."""
        query = self.query
        return count_over_time(self.matches, since_s=query.since_s, until_s=query.until_s, now=now, buckets=buckets)


class StoreBrowser(StoreReader):
    """An open store that finds, counts and returns captures, and follows the store's file.

    Several threads may use it, one at a time. All methods raise StoreError.
    """

    def __init__(self, path: Path) -> None:
        self._database = FollowedDatabase(path)
        super().__init__(path, self._database)
        self._last = CaptureSearch(CaptureQuery(), 0)
        self._changed: set[int] = set()  # the captures that got an outcome since the last search for all matches began

    @property
    def last_seen(self) -> int:
        """The number of the latest capture at the last `catch_up`, or 0 for an empty store."""
        return self._database.point.latest

    def catch_up(self) -> StoreChange:
        """Check the store for changes, and return them. Searches find the captures up to here."""
        with sqlite_problems(self.path):
            change = self._database.catch_up()
        self._changed.update(change.changed)
        return change

    def page(
        self, query: CaptureQuery, *, latest: int | None = None, after: int = 0, limit: int, oldest_first: bool = False
    ) -> list[int]:
        """Return the numbers of up to `limit` matches, latest first. The numbers are above `after`, up to `latest`."""
        search = self.search(query, latest=latest, after=after, oldest_first=oldest_first)
        self.advance(search, limit)
        return search.seqs(limit)

    def search(
        self, query: CaptureQuery, *, latest: int | None = None, after: int = 0, oldest_first: bool = False
    ) -> CaptureSearch:
        """Begin a search for matches up to `latest` and above `after`.

        A repeated query for all matches reuses the earlier search, and searches only what has changed.
        """
        point = self._database.point
        top = point.latest if latest is None else min(latest, point.latest)
        search = CaptureSearch(query, top, after, oldest_first, point=point)
        if latest is not None or after or oldest_first:
            return search
        if point.version < 0 or (self._last.query, self._last.point) != (query, point) or not query.is_lasting:
            self._reuse_last(search)
            self._last, self._changed = search, set()
        return self._last

    def _reuse_last(self, search: CaptureSearch) -> None:
        """Leave out what the last search has searched, if it was complete and the captures are the same."""
        last, query = self._last, search.query
        is_reusable = last.is_done and (last.query, last.point.resets) == (query, search.point.resets)
        if not is_reusable or not query.is_lasting or last.point.version < 0 or len(self._changed) > _MOST_CHANGED:
            return
        left = set(json.loads(self._rows(_ALL, [])[0][0])) - self._changed
        again = Condition(
            "seq <= ? AND seq IN (SELECT value FROM json_each(?))", (last.top, json.dumps(list(self._changed)))
        )
        found = [match for match in last.matches if match.seq in left]
        search.known = sorted([*found, *self._matches(query, again)], reverse=True)
        search.after = last.top

    def advance(self, search: CaptureSearch, enough: float = math.inf, *, for_s: float = math.inf) -> bool:
        """Search for about `for_s` seconds. Return whether the search is complete or has found `enough` captures."""
        if search.point.resets != self._database.point.resets:  # the numbers belong to a replaced store
            search.is_done = True
        end = monotonic() + for_s
        while not search.is_done and len(search.matches) < enough:
            self._read_some(search)
            if monotonic() >= end:
                break
        return search.is_done or len(search.matches) >= enough

    def _read_some(self, search: CaptureSearch) -> None:
        """Search the next captures, and move the bounds of the remaining search past them."""
        low, high, is_reverse = search.after, search.latest, not search.oldest_first
        end = self._end_of_step(search)
        if end is None:
            search.is_done = True
        elif search.oldest_first:
            high = search.after = end
        else:
            low = search.latest = end - 1
        found = self._matches(search.query, Condition("seq > ? AND seq <= ?", (low, high)))
        search.matches += sorted(found, reverse=is_reverse)
        if search.is_done:
            search.matches += search.known

    def _end_of_step(self, search: CaptureSearch) -> int | None:
        """Return the number of the last capture to read in one step, or None if the step reads all that are left."""
        size, order = BYTES if search.query.reads_bodies else "0", "ASC" if search.oldest_first else "DESC"
        sizes = (
            f"SELECT json_group_array(json_array(seq, size)) FROM (SELECT seq, {size} AS size FROM captures "  # noqa: S608
            f"WHERE seq > ? AND seq <= ? ORDER BY seq {order} LIMIT ?)"
        )
        written = self._rows(portable(sizes), [search.after, search.latest, _READ_AT_ONCE])[0][0]
        rows, total = sorted(json.loads(written), reverse=not search.oldest_first), 0
        for seq, bytes_ in rows:
            total += bytes_
            if total >= _BYTES_AT_ONCE:
                return int(seq)
        return int(rows[-1][0]) if len(rows) == _READ_AT_ONCE else None

    def matching(self, query: CaptureQuery, seqs: Sequence[int]) -> list[int]:
        """Return the numbers in `seqs` (at most 500) that match the query, in ascending order."""
        where, marks = condition_of(query), ",".join("?" * len(seqs))
        sql = f"SELECT seq FROM captures WHERE seq <= ? AND seq IN ({marks}) AND {where.sql} ORDER BY seq"  # noqa: S608
        return [seq for (seq,) in self._rows(portable(sql), [self.last_seen, *seqs, *where.values])]

    def _matches(self, query: CaptureQuery, bounds: Condition) -> list[FoundCapture]:
        where = joined([bounds, condition_of(query)])
        found = self._rows(portable(f"SELECT {FOUND} FROM captures WHERE {where.sql}"), where.values)  # noqa: S608
        return [FoundCapture(*each) for each in json.loads(found[0][0])]

    def rows(self, seqs: Sequence[int]) -> list[Listed]:
        """Return the captures with the given numbers, in the same order, without deleted captures."""
        found: dict[int, Listed] = {}
        for start in range(0, len(seqs), _ROW_PARAMETERS):
            part = seqs[start : start + _ROW_PARAMETERS]
            marks = ",".join("?" * len(part))
            sql = f"SELECT seq, {SIZE}, {ROW_COLUMNS} FROM captures WHERE seq IN ({marks})"  # noqa: S608
            for seq, size, *columns in self._rows(portable(sql), part):
                found[seq] = Listed(seq, self._read_listed(seq, size, tuple(columns)), size)
        return [found[seq] for seq in seqs if seq in found]

    def _read_listed(self, seq: int, size: int, columns: Row) -> Capture:
        capture = self.read_capture(columns)
        invocation, payload = capture.invocation, capture.payload
        if size <= LARGEST_BODY_OF_A_ROW or not invocation.method:  # a damaged row has no method
            return capture
        beginning = invocation.body or self._beginning(seq)
        run_id, action = (text if isinstance(text, str) else None for text in (columns[_RUN_ID], columns[_ACTION]))
        read = read_beginning(beginning, invocation.headers, run_id=run_id, action=action)
        return replace(capture, payload=replace(read, problem=payload.problem if invocation.truncated else None))

    def _beginning(self, seq: int) -> bytes:
        """Return the beginning of a large body. SQL would have to read the whole body."""
        opened = self._database.connection
        with suppress(sqlite3.Error), opened.blobopen("captures", "body", seq, readonly=True) as body:
            return body.read(BEGINNING_BYTES)
        return b""

    def find(self, name: str) -> Numbered:
        """Return the number and the capture for a name, which has the same meaning as in the commands.

        The name is a capture ID or a unique prefix of one, a name from `latest`, or a run ID. A run ID selects the
        run's latest request, or its latest replay if no request arrived.
        """
        return (self.named_by_run(name) if is_run_id(name) else None) or self.named(name)

    def replays_of(self, capture_id: str, *, limit: int = 50) -> list[int]:
        """Return the numbers of the replays of a capture, latest first."""
        query = search(StoreFilter(replay_of=capture_id), columns="seq", limit=limit)
        return [seq for (seq,) in self._rows(*query)]

    def read_capture(self, row: Row) -> Capture:
        """Return the capture from a row, or for a damaged row a capture that describes the damage."""
        try:
            return read_row(row)
        except ValueError as error:
            return _damaged(row, str(error))


def _damaged(columns: Row, problem: str) -> Capture:
    capture_id = columns[0] if isinstance(columns[0], str) else ""
    return Capture(
        invocation=Invocation(id=capture_id, received_at=0.0, method="", target="", headers=Headers(), body=b""),
        verdict=Verdict(status=Status.MALFORMED),
        payload=Payload(problem=f"this capture is damaged: {problem}"),
    )


def spans_of(seqs: Sequence[int], max_spans: int) -> Spans:
    """Return numbers, latest first, as spans: at most `max_spans` of them."""
    latest, oldest = list[int](), list[int]()
    last, is_complete = _ABOVE_ANY, True
    for seq in seqs:
        if seq < last - 1:
            is_complete = len(latest) < max_spans
            if not is_complete:
                break
            latest.append(seq)
            oldest.append(last)
        last = seq
    spans = tuple(zip(latest, [*oldest[1:], last], strict=False))
    return Spans(spans, sum(high - low + 1 for high, low in spans), is_complete)


def count_over_time(
    matches: Sequence[FoundCapture], *, since_s: float | None, until_s: float | None, now: float, buckets: int
) -> Histogram:
    """Return the matches from `since_s` (or the oldest match) to `until_s` (or `now`), in this number of buckets.

    Matches from before or after count in the first or the last bucket.
    """
    until = now if until_s is None else until_s
    since = min((match.received_at for match in matches), default=until) if since_s is None else since_s
    since = min(since, until)
    width_s = max((until - since) / buckets, 1e-9)
    counts = [[0, 0, 0] for _ in range(buckets)]
    for match in matches:
        count = counts[max(0, min(int((match.received_at - since) / width_s), buckets - 1))]
        count[0] += 1
        count[1] += match.is_failed
        count[2] += match.is_rejected
    return Histogram(since, until, tuple((each[0], each[1]) for each in counts), tuple(each[2] for each in counts))
