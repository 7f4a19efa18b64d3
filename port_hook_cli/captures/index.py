"""An index over a capture store for readers that search, filter and count: `captures --search` and the inspector.

It lives in a temporary database of this process and is filled from the store in small steps. So the listener pays
nothing for it, and there is no file that a stranger could have prepared. The full-text part (SQLite's FTS5 with
trigrams) finds candidates, and the store's own rows decide; where FTS5 is missing, or has not come that far, the rows
are searched one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from port_hook_cli.captures.index_tables import (
    COUNTS,
    DROP_TEXTS,
    FAILED,
    FILL_NEW,
    FILL_OLD,
    FILL_TEXTS,
    FORGET_DROPPED,
    REFRESH,
    ROW_COLUMNS,
    SEARCHABLE,
    SETTINGS,
    SIZE,
    TABLES,
    TEXTS,
    WHOLE_COLUMNS,
    decoded,
    searchable,
)
from port_hook_cli.captures.opening import Access, connect
from port_hook_cli.captures.problems import store_problem
from port_hook_cli.captures.query import (
    CaptureQuery,
    Condition,
    index_conditions,
    joined,
    match_expression,
    text_condition,
)
from port_hook_cli.captures.rows import read_row, text_column
from port_hook_cli.captures.schema import MIGRATIONS
from port_hook_cli.captures.store_files import Files, regrow
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Exchange, Headers, Invocation, Payload, Status, Verdict

ROWS_PER_STEP = 2_000
TEXTS_PER_STEP = 400
MAX_SPANS = 100_000
MAX_MATCHES = 20_000
"""How many matches of a text are counted: each is read to be sure of it."""

# A step indexes texts in parts of so many captures, and begins no further part after so many seconds.
_TEXTS_PER_PART = 5
_STEP_S = 0.1
# Rows without a response are read again until they have one, but only the latest: some never get one.
_LATEST = 2_000
# The full-text part is made again when it has more captures that were dropped than ones that are there.
_MOST_DROPPED = 5_000
_ROW_PARAMETERS = 500
_AFTER_ANY_ID = "\U0010ffff"


class NoSuchCapture(StoreError):
    """No capture has the id."""


class AmbiguousCapture(StoreError):
    """Several captures have ids that begin so."""


class IndexStep(NamedTuple):
    """What one step of `catch_up` did.

    `newest` is the number of the newest capture, and `has_new` says that captures arrived. `changed` are the numbers of
    captures that have got their outcome. `is_reset` says that the store was replaced, and that the index is filled
    again. `is_behind` says that there is more to do.
    """

    newest: int = 0
    has_new: bool = False
    changed: tuple[int, ...] = ()
    is_reset: bool = False
    is_behind: bool = False


class Listed(NamedTuple):
    """A capture in a list. The body of a capture over 256 KiB, and those of its responses, are left out."""

    seq: int
    exchange: Exchange
    size: int


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


class IndexState(NamedTuple):
    """How far the index is: it has `captures` of them, newest first, and the text of `indexed` of them.

    `has_texts` is False without FTS5. `is_complete` says that nothing is left to do.
    """

    has_texts: bool
    indexed: int
    captures: int
    is_complete: bool


@dataclass(slots=True)
class _Range:
    """The numbers that a part of the index covers: `low` to `high`, none if `high` is smaller."""

    low: int = 1
    high: int = 0


class _Point(NamedTuple):
    """What the index had at some time: the store's version, and the oldest and the newest number."""

    version: int = -1
    low: int = 0
    high: int = 0


class _Found(NamedTuple):
    """The matches of the last text that was searched for."""

    query: CaptureQuery = CaptureQuery()
    point: _Point = _Point()
    seqs: Sequence[int] = ()


class CaptureIndex:
    """An open index. It may be used in several threads, by one at a time. All methods raise StoreError.

    Without `uses_texts`, texts are searched for row by row, as where SQLite has no FTS5.
    """

    def __init__(self, path: Path, *, uses_texts: bool = True) -> None:
        self.path = path
        self._uses_texts = uses_texts
        self._open()

    def close(self) -> None:
        """Drop the index."""
        self._connection.close()

    @property
    def state(self) -> IndexState:
        """How much of the store is in the index."""
        count = self._count()
        indexed = count if self._has_all_texts() else self._count_texts()
        is_complete = self._has_history and (not self._has_texts or indexed == count)
        return IndexState(self._has_texts, indexed if self._has_texts else 0, count, is_complete)

    @property
    def newest(self) -> int:
        """The number of the newest capture in the index, 0 for none."""
        return self._rows.high

    def catch_up(self, *, rows: int = ROWS_PER_STEP, texts: int = TEXTS_PER_STEP) -> IndexStep:
        """Bring the index up to date with the store in one bounded step."""
        try:
            return self._step(rows, texts)
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def catch_up_rows(self) -> None:
        """Bring everything but the full-text part up to date."""
        while self.catch_up(texts=0).has_new or not self._has_history:
            pass

    def page(
        self, query: CaptureQuery, *, newest: int | None = None, after: int = 0, limit: int, oldest_first: bool = False
    ) -> list[int]:
        """Return the numbers of at most `limit` matches, newest first: those up to `newest` and above `after`."""
        top = self._rows.high if newest is None else min(newest, self._rows.high)
        found = list(islice(self._seqs(query, top, after, limit, oldest_first=oldest_first), limit))
        if query.text and newest is None and not after and not oldest_first and len(found) < limit:
            self._found = _Found(query, self._point(), found)
        return found

    def matching(self, query: CaptureQuery, seqs: Sequence[int]) -> list[int]:
        """Return those of at most 500 numbers that match, in ascending order."""
        conditions = [Condition(f"rows.seq IN ({','.join('?' * len(seqs))})", tuple(seqs)), *index_conditions(query)]
        if query.text:
            conditions.append(text_condition(query.text))
        return list(self._from_scan(conditions, self._rows.high, 0, -1, "ASC"))

    def spans(self, query: CaptureQuery, *, max_spans: int = MAX_SPANS) -> Spans:
        """Return the numbers of all matches as spans."""
        if query == CaptureQuery() and (span := self._only_span()):
            return Spans((span,), span[0] - span[1] + 1, is_complete=True)
        spans: list[tuple[int, int]] = []
        count, last = 0, -1
        for seq in self._matches(query):
            if query.text and count == MAX_MATCHES:
                return Spans(tuple(spans), count, is_complete=False)
            if seq == last - 1:
                spans[-1] = (spans[-1][0], seq)
            elif len(spans) == max_spans:
                return Spans(tuple(spans), count, is_complete=False)
            else:
                spans.append((seq, seq))
            last = seq
            count += 1
        return Spans(tuple(spans), count, is_complete=True)

    def histogram(self, query: CaptureQuery, *, now: float, buckets: int) -> Histogram:
        """Return matches over time, from the query's `since_s` (or the oldest match) to its `until_s` (or `now`)."""
        where = self._where(query)
        since = query.since_s
        if since is None:
            since = self._value(f"SELECT min(rows.received_at) FROM {where.sql}", where.values)  # noqa: S608
        until = query.until_s if query.until_s is not None else now
        since = until if since is None else min(float(since), until)
        width = max((until - since) / buckets, 1e-9)
        counted = self._all(
            f"SELECT min(CAST((rows.received_at - ?) / ? AS INTEGER), ?) AS bucket, count(*), sum({FAILED}) "  # noqa: S608
            f"FROM {where.sql} AND rows.received_at >= ? GROUP BY bucket",
            (since, width, buckets - 1, *where.values, since),
        )
        totals = {int(bucket): (total, failed) for bucket, total, failed in counted}
        return Histogram(since, until, tuple(totals.get(bucket, (0, 0)) for bucket in range(buckets)))

    def listed(self, seqs: Sequence[int]) -> list[Listed]:
        """Return the captures with these numbers, in their order; those that were dropped are missing."""
        found: dict[int, Listed] = {}
        for start in range(0, len(seqs), _ROW_PARAMETERS):
            part = seqs[start : start + _ROW_PARAMETERS]
            marks = ",".join("?" * len(part))
            sql = f"SELECT seq, {SIZE}, {ROW_COLUMNS} FROM main.captures WHERE seq IN ({marks})"  # noqa: S608
            for seq, size, *columns in self._all(sql, part):
                found[seq] = Listed(seq, _read(columns), size)
        return [found[seq] for seq in seqs if seq in found]

    def get(self, name: str) -> tuple[int, Exchange]:
        """Return number and exchange of the capture whose id is, or begins with, `name`; the newest for `last`."""
        if name == "last":
            rows = self._all(f"SELECT seq, {WHOLE_COLUMNS} FROM main.captures ORDER BY seq DESC LIMIT 1")  # noqa: S608
        else:
            rows = self._all(
                f"SELECT seq, {WHOLE_COLUMNS} FROM main.captures WHERE seq IN "  # noqa: S608
                "(SELECT seq FROM seen.rows WHERE id >= ? AND id < ? ORDER BY id LIMIT 2) ORDER BY id",
                (text_column(name), text_column(name + _AFTER_ANY_ID)),
            )
            rows = rows[:1] if rows and rows[0][1] == name else rows
        if not rows:
            raise NoSuchCapture(
                f"There is no capture {name[:80]}.", hint="It may have been dropped: the store keeps the latest."
            )
        if len(rows) > 1:
            raise AmbiguousCapture(f"'{name[:80]}' is the start of several captures.", hint="Type more of the id.")
        seq, *columns = rows[0]
        return int(seq), _read(columns)

    def replays_of(self, capture_id: str, *, limit: int = 50) -> list[int]:
        """Return the numbers of the replays of a capture, newest first."""
        sql = "SELECT seq FROM seen.rows WHERE replay_of = ? ORDER BY seq DESC LIMIT ?"
        return [seq for (seq,) in self._all(sql, (text_column(capture_id), limit))]

    def last_target(self) -> str | None:
        """Return where the store's last listener forwarded to, as any program may have written it."""
        found = self._all("SELECT forward_to FROM main.last_session LIMIT 1")
        return found[0][0] if found and isinstance(found[0][0], str) else None

    def _open(self) -> None:
        """Open the store and begin an empty index; what was open before stays open if this fails."""
        files = Files.at(self.path)
        connection = connect(self.path, Access.SHOW).connection
        connection.text_factory = decoded
        try:
            connection.create_function(SEARCHABLE, 3, searchable, deterministic=True)
            connection.execute("ATTACH DATABASE '' AS seen")
            for statement in (*SETTINGS, *TABLES):
                connection.execute(statement)
            has_texts = self._uses_texts and _make_texts(connection)
            newest = connection.execute("SELECT max(seq) FROM main.captures").fetchone()[0] or 0
        except sqlite3.Error as error:
            connection.close()
            raise store_problem(error, self.path) from error
        self._connection, self._has_texts = connection, has_texts
        self._files = _latest(files, Files.at(self.path))
        self._rows, self._texts = _Range(newest + 1, newest), _Range(newest + 1, newest)
        self._dropped = 0
        self._has_history = not newest
        self._version = -1
        self._found = _Found()

    def _step(self, rows: int, texts: int) -> IndexStep:
        is_reset = self._reopen_if_replaced()
        version = self._value("PRAGMA main.data_version")
        is_changed, self._version = version != self._version, version
        before = self._rows.high
        changed: tuple[int, ...] = ()
        if is_changed:
            self._refuse_newer()
            changed = self._refresh()
            self._fill_new(rows)
        is_behind = self._rows.high - before >= rows
        if is_behind:
            self._version = -1
        if not self._has_history:
            self._fill_history(rows)
        elif is_changed:
            self._forget_dropped()
        # A list without its older captures is worse than a search that is slow a little longer.
        if self._has_texts and self._has_history:
            self._fill_texts(texts)
        is_behind = is_behind or not self._has_history or (self._has_texts and not self._has_all_texts())
        return IndexStep(self._rows.high, self._rows.high > before, changed, is_reset, is_behind)

    def _reopen_if_replaced(self) -> bool:
        """Begin again if the store was replaced, or if all of its captures were deleted; return whether it was."""
        self._keep_readable()
        found = Files.at(self.path)
        if self._is_same(found) and not self._is_cleared():
            self._files = _latest(self._files, found)
            return False
        old = self._connection
        self._open()
        old.close()
        return True

    def _refuse_newer(self) -> None:
        """Raise StoreError if a newer port-hook has changed the store's tables since it was opened."""
        version = self._value("PRAGMA main.user_version")
        if version > len(MIGRATIONS):
            self._version = -1
            raise StoreError(
                f"{self.path} has been changed by a newer port-hook (schema {version}).",
                hint="Start the inspector of that version.",
            )

    def _is_same(self, found: Files) -> bool:
        known = self._files
        pairs = ((known.log_id, found.log_id), (known.index_id, found.index_id))
        return known.store_id == found.store_id and all(a == b or a is None or b is None for a, b in pairs)

    def _keep_readable(self) -> None:
        """Restore the size of the file's SQLite index if it was emptied: reading it would end the process."""
        found = Files.at(self.path)
        if found.index_id is not None and found.index_size < self._files.index_size:
            regrow(self.path)

    def _is_cleared(self) -> bool:
        """Return whether the store's newest capture is older than the index knows: someone deleted captures."""
        newest = self._value("SELECT max(seq) FROM main.captures") or 0
        return bool(newest < self._rows.high)

    def _has_all_texts(self) -> bool:
        return self._texts.low <= self._rows.low and self._texts.high >= self._rows.high

    def _forget_dropped(self) -> None:
        """Remove captures that a listener has dropped because the store was full."""
        kept, known = self._all(COUNTS)[0]
        if kept >= known:
            return
        self._dropped += self._connection.execute(FORGET_DROPPED).rowcount
        if self._has_texts and self._dropped > max(kept, _MOST_DROPPED):
            self._connection.execute(DROP_TEXTS)
            self._connection.execute(TEXTS)
            self._texts = _Range(self._rows.high + 1, self._rows.high)
            self._dropped = 0

    def _refresh(self) -> tuple[int, ...]:
        found = self._connection.execute(REFRESH, (self._rows.high - _LATEST,)).fetchall()
        return tuple(sorted(seq for (seq,) in found))

    def _fill_new(self, limit: int) -> None:
        self._connection.execute(FILL_NEW, (self._rows.high, limit))
        self._rows.high = max(self._rows.high, self._value("SELECT max(seq) FROM seen.rows") or 0)

    def _fill_history(self, limit: int) -> None:
        added = self._connection.execute(FILL_OLD, (self._rows.low, limit)).rowcount
        self._rows.low = self._value("SELECT min(seq) FROM seen.rows") or self._rows.low
        self._has_history = added < limit

    def _fill_texts(self, limit: int) -> None:
        """Index the text of at most `limit` captures: new ones first, then older ones."""
        texts, rows, end = self._texts, self._rows, monotonic() + _STEP_S
        for part in _parts(limit):
            high, low = min(texts.high + part, rows.high), max(texts.low - part, rows.low)
            if high > texts.high:
                self._connection.execute(FILL_TEXTS, (texts.high + 1, high))
                texts.high = high
            elif low < texts.low:
                self._connection.execute(FILL_TEXTS, (low, texts.low - 1))
                texts.low = low
            else:
                break
            if monotonic() > end:
                break

    def _where(self, query: CaptureQuery) -> Condition:
        """Return FROM and WHERE for all matches of `query`."""
        conditions = index_conditions(query)
        if not query.text:
            where = joined(conditions)
            return replace(where, sql=f"seen.rows AS rows WHERE {where.sql}")
        seqs = islice(self._matches(query), MAX_MATCHES)
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS found (seq INTEGER PRIMARY KEY)")
        self._connection.execute("DELETE FROM temp.found")
        self._connection.executemany("INSERT INTO temp.found VALUES (?)", ((seq,) for seq in seqs))
        # A cross join keeps the order of the tables: few matches are looked up in the many rows.
        return Condition("temp.found CROSS JOIN seen.rows AS rows USING (seq) WHERE 1")

    def _matches(self, query: CaptureQuery) -> Iterator[int]:
        """Yield the numbers of all matches, newest first; of a text, one more than are counted, searched for once."""
        if not query.text:
            return self._seqs(query, self._rows.high, 0, -1)
        point = self._point()
        if point.version < 0 or (self._found.query, self._found.point) != (query, point):
            seqs = self._seqs(query, self._rows.high, 0, MAX_MATCHES + 1)
            self._found = _Found(query, point, list(islice(seqs, MAX_MATCHES + 1)))
        return iter(self._found.seqs)

    def _point(self) -> _Point:
        return _Point(self._version, self._rows.low, self._rows.high)

    def _count(self) -> int:
        return int(self._value("SELECT count(*) FROM seen.rows"))

    def _count_texts(self) -> int:
        texts = self._texts
        return int(self._value("SELECT count(*) FROM seen.rows WHERE seq BETWEEN ? AND ?", (texts.low, texts.high)))

    def _only_span(self) -> tuple[int, int] | None:
        """Return the newest and the oldest number if the index has all between them, which is usual; None if not."""
        newest, oldest = self._all("SELECT (SELECT max(seq) FROM seen.rows), (SELECT min(seq) FROM seen.rows)")[0]
        is_whole = newest is not None and self._count() == newest - oldest + 1
        return (newest, oldest) if is_whole else None

    def _seqs(
        self, query: CaptureQuery, newest: int, after: int, limit: int, *, oldest_first: bool = False
    ) -> Iterator[int]:
        """Yield the numbers of matches up to `newest` and above `after`; a negative limit means no limit."""
        conditions = index_conditions(query)
        order = "ASC" if oldest_first else "DESC"
        if not query.text:
            yield from self._from_rows(conditions, newest, after, limit, order)
            return
        wanted = [*conditions, text_condition(query.text)]
        expression = match_expression(query.text) if self._has_texts else None
        if expression is None:
            yield from self._from_scan(wanted, newest, after, limit, order)
            return
        low, high = self._texts.low, self._texts.high
        parts = [
            self._from_scan(wanted, newest, max(after, high), limit, order),
            self._from_texts(wanted, expression, min(newest, high), max(after, low - 1), limit, order),
            self._from_scan(wanted, min(newest, low - 1), after, limit, order),
        ]
        for part in reversed(parts) if oldest_first else parts:
            yield from part

    def _from_rows(self, wanted: Sequence[Condition], newest: int, after: int, limit: int, order: str) -> Iterator[int]:
        where = joined(wanted)
        sql = (
            f"SELECT seq FROM seen.rows AS rows WHERE seq <= ? AND seq > ? AND {where.sql} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        )
        yield from self._numbers(sql, (newest, after, *where.values, limit))

    def _from_scan(self, wanted: Sequence[Condition], newest: int, after: int, limit: int, order: str) -> Iterator[int]:
        if newest <= after:
            return
        where = joined(wanted)
        sql = (
            "SELECT rows.seq FROM seen.rows AS rows CROSS JOIN main.captures AS captures ON captures.seq = rows.seq "  # noqa: S608
            f"WHERE rows.seq <= ? AND rows.seq > ? AND {where.sql} ORDER BY rows.seq {order} LIMIT ?"
        )
        yield from self._numbers(sql, (newest, after, *where.values, limit))

    def _from_texts(
        self, wanted: Sequence[Condition], expression: str, newest: int, after: int, limit: int, order: str
    ) -> Iterator[int]:
        """Yield the matches in the full-text part. Captures that it does not have whole are searched one by one."""
        if newest <= after:
            return
        where = joined(wanted)
        sql = (
            "SELECT texts.rowid FROM seen.texts AS texts "  # noqa: S608
            "CROSS JOIN seen.rows AS rows ON rows.seq = texts.rowid AND NOT rows.is_long "
            "CROSS JOIN main.captures AS captures ON captures.seq = texts.rowid "
            f"WHERE texts MATCH ? AND texts.rowid <= ? AND texts.rowid > ? AND {where.sql} "
            f"ORDER BY texts.rowid {order} LIMIT ?"
        )
        short = self._numbers(sql, (expression, newest, after, *where.values, limit))
        long = self._from_scan([Condition("rows.is_long"), *wanted], newest, after, limit, order)
        yield from merge(short, long, reverse=order == "DESC")

    def _numbers(self, sql: str, values: Sequence[Any]) -> Iterator[int]:
        self._keep_readable()
        try:
            for (seq,) in self._connection.execute(sql, values):
                yield seq
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        self._keep_readable()
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        row = self._all(sql, values)
        return row[0][0] if row else None


def _make_texts(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute(TEXTS)
    except sqlite3.OperationalError:  # no FTS5, or one without trigrams
        return False
    return True


def _latest(known: Files, found: Files) -> Files:
    """Return what is known of a store's files: SQLite makes those beside the store when they are needed."""
    return found._replace(log_id=found.log_id or known.log_id, index_id=found.index_id or known.index_id)


def _parts(limit: int) -> Iterator[int]:
    for start in range(0, limit, _TEXTS_PER_PART):
        yield min(_TEXTS_PER_PART, limit - start)


def _read(columns: Sequence[Any]) -> Exchange:
    """Return the exchange of a row, or one that says that the row is damaged."""
    try:
        return read_row(columns)
    except ValueError as error:
        return _damaged(columns, str(error))


def _damaged(columns: Sequence[Any], problem: str) -> Exchange:
    capture_id = columns[0] if isinstance(columns[0], str) else ""
    return Exchange(
        invocation=Invocation(id=capture_id, received_at=0.0, method="", target="", headers=Headers(), body=b""),
        verdict=Verdict(status=Status.MALFORMED),
        payload=Payload(problem=f"this capture is damaged: {problem}"),
    )
