"""An index over a capture store, for readers that search, filter and count: the inspector and waiting coding agents.

The index is in a temporary database of this process, and is filled from the store in small steps. So it costs the
listener nothing, and nobody else can tamper with its file. The full-text part (SQLite's FTS5 with trigrams) finds
candidates, and the store's own rows confirm them. If FTS5 is missing, or has not indexed a row yet, the rows are
searched one by one.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from heapq import merge
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from port_hook_cli.captures import missing
from port_hook_cli.captures.database.conditions import (
    ARRIVED,
    TARGET_OF_THE_LAST_SESSION,
    Condition,
    joined,
    text_condition,
)
from port_hook_cli.captures.database.opening import sqlite_problems
from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, read_row, text_column
from port_hook_cli.captures.index.counting import Histogram, Spans, count_over_time, find_spans, spans_of
from port_hook_cli.captures.index.filling import FilledIndex, IndexPoint
from port_hook_cli.captures.index.query import (
    AFTER_ANY,
    LARGEST_BODY_OF_A_ROW,
    ROW_COLUMNS,
    SIZE,
    WHOLE_COLUMNS,
    CaptureQuery,
    index_conditions,
    match_expression,
    payload_conditions,
)
from port_hook_cli.captures.latest import Latest, parse_latest
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.beginning import BEGINNING_BYTES, read_beginning
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Invocation, Payload, Status, Verdict
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.text.safe import brief

MAX_SPANS = 100_000
MAX_MATCHES = 20_000
"""A search counts at most this many matches of a text, because each match is read to confirm it."""

ENOUGH = MAX_MATCHES + 1
"""The number of matches after which a search stops. It shows whether there are more matches than are counted."""

_RUN_ID, _ACTION = CAPTURE_COLUMNS.index("run_id"), CAPTURE_COLUMNS.index("action")
_ROW_PARAMETERS = 500
_SHOWN_ID = 40
_SCANNED_AT_ONCE = 100
_SCAN = """
    SELECT rows.seq FROM seen.rows AS rows CROSS JOIN main.captures AS captures ON captures.seq = rows.seq
    WHERE rows.seq <= ? AND rows.seq > ?
"""


class NoSuchCapture(StoreError):
    """No capture has the given ID."""


class AmbiguousCapture(StoreError):
    """Several captures have IDs that begin with the given prefix."""


class Listed(NamedTuple):
    """A capture in a list. Bodies of more than 256 KiB and the bodies of responses are left out.

    The payload of a large body is read from the beginning of the body.
    """

    seq: int
    capture: Capture
    size: int


@dataclass(slots=True)
class CaptureSearch:
    """The numbers of the captures that match a query, which `CaptureIndex.advance` finds in bounded steps.

    `seqs` are the numbers found so far, latest first unless `oldest_first` is set. `latest` and `after` are the bounds
    of the remaining search. `top` is the latest capture that the index had when the search began.
    """

    query: CaptureQuery
    latest: int
    after: int = 0
    oldest_first: bool = False
    seqs: list[int] = field(default_factory=list)
    is_done: bool = False
    point: IndexPoint = field(default_factory=IndexPoint)

    @property
    def top(self) -> int:
        """The number of the latest capture when the search began."""
        return self.point.high

    def pass_by(self, seq: int) -> None:
        """Exclude the capture `seq`, and all captures before it in the search order, from the remaining search."""
        if self.oldest_first:
            self.after = seq
        else:
            self.latest = seq - 1


class CaptureIndex(FilledIndex):
    """An open index that finds, counts and returns captures. All methods raise StoreError."""

    def __init__(self, path: Path, *, uses_texts: bool = True) -> None:
        super().__init__(path, uses_texts=uses_texts)
        self._last = CaptureSearch(CaptureQuery(), 0)

    def page(
        self, query: CaptureQuery, *, latest: int | None = None, after: int = 0, limit: int, oldest_first: bool = False
    ) -> list[int]:
        """Return the numbers of up to `limit` matches, latest first. The numbers are above `after`, up to `latest`."""
        search = self.search(query, latest=latest, after=after, oldest_first=oldest_first)
        while not self.advance(search, limit):
            pass
        return search.seqs[:limit]

    def search(
        self, query: CaptureQuery, *, latest: int | None = None, after: int = 0, oldest_first: bool = False
    ) -> CaptureSearch:
        """Begin a search for matches up to `latest` and above `after`. A repeated search for all matches is reused."""
        point = self.point
        top = point.high if latest is None else min(latest, point.high)
        search = CaptureSearch(query, top, after, oldest_first, point=point)
        if latest is not None or after or oldest_first:
            return search
        if self._version < 0 or (self._last.query, self._last.point) != (query, point):
            self._last = search
        return self._last

    def advance(self, search: CaptureSearch, enough: int, *, for_s: float = math.inf) -> bool:
        """Search for about `for_s` seconds. Return whether the search is complete or has found `enough` captures."""
        if search.point.resets != self._resets:  # the numbers belong to a replaced store
            search.is_done = True
        missing = enough - len(search.seqs)
        if search.is_done or missing <= 0:
            return True
        if search.query.text or search.query.has_payload_facts:
            return self._advance_candidates(search, enough, monotonic() + for_s)
        found = self._seqs(search, missing)
        search.seqs += found
        search.is_done = len(found) < missing
        if found:
            search.pass_by(found[-1])
        return True

    def matching(self, query: CaptureQuery, seqs: Sequence[int]) -> list[int]:
        """Return the numbers in `seqs` (at most 500) that match the query, in ascending order."""
        where, marks = _whole_condition(query, is_filled=False), ",".join("?" * len(seqs))
        sql = f"{_SCAN} AND rows.seq IN ({marks}) AND {where.sql} ORDER BY rows.seq"
        return [seq for (seq,) in self._all(sql, (self._rows.high, 0, *seqs, *where.values))]

    def needs_search(self, query: CaptureQuery) -> bool:
        """Return whether a search has to find all matches before they can be counted."""
        is_named = query.run_id is not None or query.id_prefix is not None
        return bool(query.text) or query.has_payload_facts or is_named

    def spans(self, query: CaptureQuery, search: CaptureSearch | None = None, *, max_spans: int = MAX_SPANS) -> Spans:
        """Return the numbers of all matches as spans. If the query needs a search, `search` must be complete."""
        if not self.needs_search(query):
            with sqlite_problems(self.path):
                return find_spans(self._connection, query, max_spans)
        seqs = (search or self._search_all(query)).seqs
        found = spans_of(zip(seqs[:MAX_MATCHES], seqs, strict=False), max_spans)
        return found._replace(is_complete=found.is_complete and len(seqs) <= MAX_MATCHES)

    def histogram(
        self, query: CaptureQuery, search: CaptureSearch | None = None, *, now: float, buckets: int
    ) -> Histogram:
        """Return the matches over time, from the query's `since_s` (or oldest match) to its `until_s` (or `now`)."""
        seqs = (search or self._search_all(query)).seqs[:MAX_MATCHES] if self.needs_search(query) else None
        with sqlite_problems(self.path):
            return count_over_time(self._connection, query, seqs, now=now, buckets=buckets)

    def listed(self, seqs: Sequence[int]) -> list[Listed]:
        """Return the captures with the given numbers, in the same order, without deleted captures."""
        found: dict[int, Listed] = {}
        for start in range(0, len(seqs), _ROW_PARAMETERS):
            part = seqs[start : start + _ROW_PARAMETERS]
            marks = ",".join("?" * len(part))
            sql = f"SELECT seq, {SIZE}, {ROW_COLUMNS} FROM main.captures WHERE seq IN ({marks})"  # noqa: S608
            for seq, size, *columns in self._all(sql, part):
                found[seq] = Listed(seq, self._read_listed(seq, size, columns), size)
        return [found[seq] for seq in seqs if seq in found]

    def _read_listed(self, seq: int, size: int, columns: Sequence[Any]) -> Capture:
        capture = _read(columns)
        invocation, payload = capture.invocation, capture.payload
        if size <= LARGEST_BODY_OF_A_ROW or not invocation.method:  # a damaged row has no method
            return capture
        beginning = invocation.body or self._beginning(seq)
        run_id, action = (text if isinstance(text, str) else None for text in (columns[_RUN_ID], columns[_ACTION]))
        read = read_beginning(beginning, invocation.headers, run_id=run_id, action=action)
        return replace(capture, payload=replace(read, problem=payload.problem if invocation.truncated else None))

    def _beginning(self, seq: int) -> bytes:
        """Return the beginning of a large body. SQL would have to read the whole body."""
        with suppress(sqlite3.Error), self._connection.blobopen("captures", "body", seq, readonly=True) as body:
            return body.read(BEGINNING_BYTES)
        return b""

    def get(self, name: str) -> tuple[int, Capture]:
        """Return the number and the capture for a name, which has the same meaning as in the commands.

        The name is a capture ID or a unique prefix of one, a name from `latest`, or a run ID. A run ID selects the
        run's latest request, or its latest replay if no request arrived.
        """
        if latest := parse_latest(name):
            rows = self._latest(Condition(_kind_of(latest)), latest.back)
            if not rows:
                raise _no_such(self._none_so_late(name, latest))
        else:
            rows = self._of_run(name) if is_run_id(name) else []
            rows = rows or self._by_id(name)
        seq, *columns = rows[0]
        return int(seq), _read(columns)

    def _latest(self, where: Condition, back: int = 0) -> list[Any]:
        sql = f"SELECT seq, {WHOLE_COLUMNS} FROM main.captures WHERE {where.sql} ORDER BY seq DESC LIMIT 1 OFFSET ?"  # noqa: S608
        return self._all(sql, (*where.values, back))

    def _of_run(self, run_id: str) -> list[Any]:
        run = Condition("seq IN (SELECT seq FROM seen.rows WHERE run_id = ?)", (text_column(run_id),))
        return self._latest(joined([run, Condition(f"({ARRIVED})")])) or self._latest(run)

    def _by_id(self, name: str) -> list[Any]:
        found = self._all(
            "SELECT seq, id FROM seen.rows WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (text_column(name), text_column(name + AFTER_ANY), missing.MOST_NAMED + 1),
        )
        if len(found) > 1 and found[0][1] != name:
            words = missing.ambiguous(brief(name), [brief(str(capture_id), _SHOWN_ID) for _, capture_id in found])
            raise AmbiguousCapture(words.message, hint=words.hint)
        rows = self._latest(Condition("seq = ?", (found[0][0],))) if found else []
        if not rows:
            now = self._count()
            ever = self._value("SELECT max(seq) FROM main.captures") or 0
            raise _no_such(missing.no_such(str(self.path), brief(name), ever=ever, now=now))
        return rows

    def _none_so_late(self, name: str, latest: Latest) -> missing.MissingCapture:
        kind = f"SELECT count(*) FROM (SELECT 1 FROM main.captures WHERE {_kind_of(latest)} LIMIT ?)"  # noqa: S608
        count = self._value(kind, (latest.back + 1,))
        return missing.no_latest(str(self.path), name, latest, count=count, captures=self._count())

    def replays_of(self, capture_id: str, *, limit: int = 50) -> list[int]:
        """Return the numbers of the replays of a capture, latest first."""
        sql = "SELECT seq FROM seen.rows WHERE replay_of = ? ORDER BY seq DESC LIMIT ?"
        return [seq for (seq,) in self._all(sql, (text_column(capture_id), limit))]

    def last_target(self) -> str | None:
        """Return the target of the store's last listener.

        The target is untrusted, because any program may have written it.
        """
        found = self._all(TARGET_OF_THE_LAST_SESSION)
        return found[0][0] if found and isinstance(found[0][0], str) else None

    def _search_all(self, query: CaptureQuery) -> CaptureSearch:
        search = self.search(query)
        while not self.advance(search, ENOUGH):
            pass
        return search

    def _advance_candidates(self, search: CaptureSearch, enough: int, end: float) -> bool:
        with closing(self._candidates(search)) as candidates:
            for seq, is_match in candidates:
                search.pass_by(seq)
                if is_match:
                    search.seqs.append(seq)
                if len(search.seqs) >= enough:
                    return True
                if monotonic() > end:
                    return False
        search.is_done = True
        return True

    def _seqs(self, search: CaptureSearch, limit: int) -> list[int]:
        """Return the numbers that match a query without a text or payload facts."""
        where = joined(index_conditions(search.query))
        rows = "seen.rows AS rows" if self.needs_search(search.query) else "seen.rows AS rows NOT INDEXED"
        sql = (
            f"SELECT seq FROM {rows} WHERE seq <= ? AND seq > ? AND {where.sql} "  # noqa: S608
            f"ORDER BY seq {_order(search.oldest_first)} LIMIT ?"
        )
        return [seq for (seq,) in self._all(sql, (search.latest, search.after, *where.values, limit))]

    def _candidates(self, search: CaptureSearch) -> Generator[tuple[int, bool], None, None]:
        """Yield the numbers of captures that may match, each with whether the capture does match."""
        query, latest, after = search.query, search.latest, search.after
        order = _order(search.oldest_first)
        read, filled = (_whole_condition(query, is_filled=is_filled) for is_filled in (False, True))
        if not self._has_texts:
            yield from self._from_scan(read, latest, after, order)
            return
        low, high = self._texts.low, self._texts.high
        expression = match_expression(query.text)
        first, last = min(latest, high), max(after, low - 1)
        if expression is not None:
            indexed = self._from_texts(filled, expression, first, last, order)
        elif query.text:
            indexed = self._from_scan(filled, first, last, order)
        else:
            indexed = self._from_facts(filled, first, last, order)
        parts = [
            self._from_scan(read, latest, max(after, high), order),
            indexed,
            self._from_scan(read, min(latest, low - 1), after, order),
        ]
        for part in reversed(parts) if search.oldest_first else parts:
            yield from part

    def _from_scan(self, wanted: Condition, latest: int, after: int, order: str) -> Iterator[tuple[int, bool]]:
        """Yield the matches of a scan through the rows, and also the last capture of each scanned part."""
        ends = f"SELECT seq FROM seen.rows WHERE seq <= ? AND seq > ? ORDER BY seq {order} LIMIT 1 OFFSET ?"  # noqa: S608
        sql = f"{_SCAN} AND {wanted.sql} ORDER BY rows.seq {order}"
        while latest > after:
            end = self._value(ends, (latest, after, _SCANNED_AT_ONCE - 1))
            low, high = (after, latest) if end is None else (end - 1, latest) if order == "DESC" else (after, end)
            for (seq,) in self._rows_of(sql, (high, low, *wanted.values)):
                yield seq, True
            if end is None:
                return
            yield end, False
            latest, after = (low, after) if order == "DESC" else (latest, high)

    def _from_facts(self, wanted: Condition, latest: int, after: int, order: str) -> Iterator[tuple[int, bool]]:
        """Yield the matches of a query for payload facts, in the part of the index that has these facts."""
        sql = (
            f"SELECT rows.seq FROM seen.rows AS rows WHERE rows.seq <= ? AND rows.seq > ? AND {wanted.sql} "  # noqa: S608
            f"ORDER BY rows.seq {order}"
        )
        for (seq,) in self._rows_of(sql, (latest, after, *wanted.values)):
            yield seq, True

    def _from_texts(
        self, wanted: Condition, expression: str, latest: int, after: int, order: str
    ) -> Iterator[tuple[int, bool]]:
        """Yield the matches in the full-text part. Captures that it contains only partly are searched individually."""
        if latest <= after:
            return
        texts = (
            f"SELECT texts.rowid, {wanted.sql} FROM seen.texts AS texts "  # noqa: S608
            "CROSS JOIN seen.rows AS rows ON rows.seq = texts.rowid AND NOT rows.is_long "
            "CROSS JOIN main.captures AS captures ON captures.seq = texts.rowid "
            f"WHERE texts MATCH ? AND texts.rowid <= ? AND texts.rowid > ? ORDER BY texts.rowid {order}"
        )
        long = f"{_SCAN} AND rows.is_long ORDER BY rows.seq {order}".replace("rows.seq", f"rows.seq, {wanted.sql}", 1)
        found = merge(
            self._rows_of(texts, (*wanted.values, expression, latest, after)),
            self._rows_of(long, (*wanted.values, latest, after)),
            reverse=order == "DESC",
        )
        for seq, is_match in found:
            yield seq, bool(is_match)


def _whole_condition(query: CaptureQuery, *, is_filled: bool) -> Condition:
    """Return the condition of a query on rows and captures. `is_filled` means that rows have their payload facts."""
    text = [text_condition(query.text)] if query.text else []
    return joined([*index_conditions(query), *payload_conditions(query, is_filled=is_filled), *text])


def _kind_of(latest: Latest) -> str:
    return f"NOT ({ARRIVED})" if latest.replays else f"({ARRIVED})"


def _no_such(words: missing.MissingCapture) -> NoSuchCapture:
    return NoSuchCapture(words.message, hint=words.hint)


def _order(oldest_first: bool) -> str:
    return "ASC" if oldest_first else "DESC"


def _read(columns: Sequence[Any]) -> Capture:
    """Return the capture from a row, or for a damaged row a capture that describes the damage."""
    try:
        return read_row(columns)
    except ValueError as error:
        return _damaged(columns, str(error))


def _damaged(columns: Sequence[Any], problem: str) -> Capture:
    capture_id = columns[0] if isinstance(columns[0], str) else ""
    return Capture(
        invocation=Invocation(id=capture_id, received_at=0.0, method="", target="", headers=Headers(), body=b""),
        verdict=Verdict(status=Status.MALFORMED),
        payload=Payload(problem=f"this capture is damaged: {problem}"),
    )
