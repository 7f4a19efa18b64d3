"""An index over a capture store for readers that search, filter and count: `captures --search` and the inspector.

It is in a temporary database of this process and is filled from the store in small steps. So it costs the listener
nothing, and nobody else can prepare its file. The full-text part (SQLite's FTS5 with trigrams) finds candidates, and
the store's own rows decide. Where FTS5 is missing, or has not indexed a row yet, the rows are searched one by one.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from port_hook_cli.captures.database.conditions import TARGET_OF_THE_LAST_SESSION, Condition, joined, text_condition
from port_hook_cli.captures.database.files import Files, regrow
from port_hook_cli.captures.database.opening import Access, connect, portable, store_problem
from port_hook_cli.captures.database.rows import read_row, text_column
from port_hook_cli.captures.database.schema import NEWEST
from port_hook_cli.captures.index.counting import Histogram, Spans, count_over_time, find_spans, spans_of
from port_hook_cli.captures.index.query import AFTER_ANY, CaptureQuery, index_conditions, match_expression
from port_hook_cli.captures.index.tables import (
    COUNT_BETWEEN,
    DROP_TEXTS,
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
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Exchange, Headers, Invocation, Payload, Status, Verdict

ROWS_PER_STEP = 2_000
TEXTS_PER_STEP = 400
MAX_SPANS = 100_000
MAX_MATCHES = 20_000
"""How many matches of a text are counted: each is read to be sure of it."""

ENOUGH = MAX_MATCHES + 1
"""How many matches a search finds to know whether there are more than are counted."""

# A step indexes texts in parts of so many captures, and begins no further part after so many seconds.
_TEXTS_PER_PART = 5
_STEP_S = 0.1
# Rows without a response are read again until they have one, but only the latest: some never get one.
_LATEST = 2_000
# The full-text part is made again when it has more captures that were dropped than ones that are there.
_MOST_DROPPED = 5_000
_ROW_PARAMETERS = 500
_SCANNED_AT_ONCE = 100
_SCAN = """
    SELECT rows.seq FROM seen.rows AS rows CROSS JOIN main.captures AS captures ON captures.seq = rows.seq
    WHERE rows.seq <= ? AND rows.seq > ?
"""


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
    """The state of the index at some time: how often it was refilled, the store's version, and its range of numbers."""

    resets: int = 0
    version: int = -1
    low: int = 0
    high: int = 0


@dataclass(slots=True)
class CaptureSearch:
    """The numbers of captures that match, found in bounded steps by `CaptureIndex.advance`.

    `seqs` are those found so far, newest first unless `oldest_first`. `newest` and `after` bound what is left to
    search, and `top` is the newest capture that the index had when it began.
    """

    query: CaptureQuery
    newest: int
    after: int = 0
    oldest_first: bool = False
    seqs: list[int] = field(default_factory=list)
    is_done: bool = False
    point: _Point = field(default_factory=_Point)

    @property
    def top(self) -> int:
        """The newest capture when the search began."""
        return self.point.high

    def pass_by(self, seq: int) -> None:
        """Continue the search after a capture."""
        if self.oldest_first:
            self.after = seq
        else:
            self.newest = seq - 1


class CaptureIndex:
    """An open index. It may be used in several threads, by one at a time. All methods raise StoreError.

    Without `uses_texts`, texts are searched for row by row, as where SQLite has no FTS5.
    """

    def __init__(self, path: Path, *, uses_texts: bool = True) -> None:
        self.path = path
        self._uses_texts = uses_texts
        self._resets = 0
        self._last = CaptureSearch(CaptureQuery(), 0)
        self._open()

    def close(self) -> None:
        """Drop the index."""
        self._connection.close()

    @property
    def state(self) -> IndexState:
        """How much of the store is in the index."""
        count, texts = self._count(), self._texts
        indexed = count if self._has_all_texts() else self._value(COUNT_BETWEEN, (texts.low, texts.high))
        is_complete = self._has_history and (not self._has_texts or indexed == count)
        return IndexState(self._has_texts, indexed if self._has_texts else 0, count, is_complete)

    @property
    def newest(self) -> int:
        """The number of the newest capture in the index, 0 for none."""
        return self._rows.high

    def catch_up(self, *, rows: int = ROWS_PER_STEP, texts: int = TEXTS_PER_STEP) -> IndexStep:
        """Bring the index up to date with the store in one bounded step."""
        with self._problems():
            return self._step(rows, texts)

    def catch_up_rows(self) -> None:
        """Bring everything but the full-text part up to date."""
        while self.catch_up(texts=0).has_new or not self._has_history:
            pass

    def page(
        self, query: CaptureQuery, *, newest: int | None = None, after: int = 0, limit: int, oldest_first: bool = False
    ) -> list[int]:
        """Return the numbers of at most `limit` matches, newest first: those up to `newest` and above `after`."""
        search = self.search(query, newest=newest, after=after, oldest_first=oldest_first)
        while not self.advance(search, limit):
            pass
        return search.seqs[:limit]

    def search(
        self, query: CaptureQuery, *, newest: int | None = None, after: int = 0, oldest_first: bool = False
    ) -> CaptureSearch:
        """Begin a search for matches up to `newest` and above `after`; one for all matches is begun once."""
        point = _Point(self._resets, self._version, self._rows.low, self._rows.high)
        top = self._rows.high if newest is None else min(newest, self._rows.high)
        search = CaptureSearch(query, top, after, oldest_first, point=point)
        if newest is not None or after or oldest_first:
            return search
        if self._version < 0 or (self._last.query, self._last.point) != (query, point):
            self._last = search
        return self._last

    def advance(self, search: CaptureSearch, enough: int, *, for_s: float = math.inf) -> bool:
        """Search for about `for_s` seconds; return whether it is done, or has found `enough` captures."""
        if search.point.resets != self._resets:  # the numbers are those of another store
            search.is_done = True
        missing = enough - len(search.seqs)
        if search.is_done or missing <= 0:
            return True
        if search.query.text:
            return self._advance_text(search, enough, monotonic() + for_s)
        found = self._seqs(search, missing)
        search.seqs += found
        search.is_done = len(found) < missing
        if found:
            search.pass_by(found[-1])
        return True

    def matching(self, query: CaptureQuery, seqs: Sequence[int]) -> list[int]:
        """Return those of at most 500 numbers that match, in ascending order."""
        conditions = [*index_conditions(query), *([text_condition(query.text)] if query.text else [])]
        where, marks = joined(conditions), ",".join("?" * len(seqs))
        sql = f"{_SCAN} AND rows.seq IN ({marks}) AND {where.sql} ORDER BY rows.seq"
        return [seq for (seq,) in self._all(sql, (self._rows.high, 0, *seqs, *where.values))]

    def needs_search(self, query: CaptureQuery) -> bool:
        """Return whether all matches must be searched before they can be counted."""
        return bool(query.text) or query.run_id is not None or query.id_prefix is not None

    def spans(self, query: CaptureQuery, search: CaptureSearch | None = None, *, max_spans: int = MAX_SPANS) -> Spans:
        """Return the numbers of all matches as spans; `search` has looked for all of them, if that was needed."""
        if not self.needs_search(query):
            with self._problems():
                return find_spans(self._connection, query, max_spans)
        seqs = (search or self._search_all(query)).seqs
        found = spans_of(seqs[:MAX_MATCHES], max_spans)
        return found._replace(is_complete=found.is_complete and len(seqs) <= MAX_MATCHES)

    def histogram(
        self, query: CaptureQuery, search: CaptureSearch | None = None, *, now: float, buckets: int
    ) -> Histogram:
        """Return matches over time, from the query's `since_s` (or the oldest match) to its `until_s` (or `now`)."""
        seqs = (search or self._search_all(query)).seqs[:MAX_MATCHES] if self.needs_search(query) else None
        with self._problems():
            return count_over_time(self._connection, query, seqs, now=now, buckets=buckets)

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
                (text_column(name), text_column(name + AFTER_ANY)),
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
        found = self._all(TARGET_OF_THE_LAST_SESSION)
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
        self._resets += 1
        self._last = CaptureSearch(CaptureQuery(), 0)

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
        if version > NEWEST:
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
        kept = self._value("SELECT count(*) FROM main.captures")
        if kept >= self._count():
            return
        self._dropped += self._connection.execute(FORGET_DROPPED).rowcount
        if self._has_texts and self._dropped > max(kept, _MOST_DROPPED):
            self._connection.execute(DROP_TEXTS)
            self._connection.execute(TEXTS)
            self._texts = _Range(self._rows.high + 1, self._rows.high)
            self._dropped = 0

    def _refresh(self) -> tuple[int, ...]:
        found = self._connection.execute(portable(REFRESH), (self._rows.high - _LATEST,)).fetchall()
        return tuple(sorted(seq for (seq,) in found))

    def _fill_new(self, limit: int) -> None:
        if self._connection.execute(portable(FILL_NEW), (self._rows.high, limit)).rowcount:
            self._rows.high = self._value("SELECT max(seq) FROM seen.rows")

    def _fill_history(self, limit: int) -> None:
        added = self._connection.execute(portable(FILL_OLD), (self._rows.low, limit)).rowcount
        if added:
            self._rows.low = self._value("SELECT min(seq) FROM seen.rows")
        self._has_history = added < limit

    def _fill_texts(self, limit: int) -> None:
        """Index the text of at most `limit` captures: new ones first, then older ones."""
        texts, rows, end = self._texts, self._rows, monotonic() + _STEP_S
        for part in _parts(limit):
            high, low = min(texts.high + part, rows.high), max(texts.low - part, rows.low)
            if high > texts.high:
                self._connection.execute(portable(FILL_TEXTS), (texts.high + 1, high))
                texts.high = high
            elif low < texts.low:
                self._connection.execute(portable(FILL_TEXTS), (low, texts.low - 1))
                texts.low = low
            else:
                break
            if monotonic() > end:
                break

    def _search_all(self, query: CaptureQuery) -> CaptureSearch:
        search = self.search(query)
        while not self.advance(search, ENOUGH):
            pass
        return search

    def _advance_text(self, search: CaptureSearch, enough: int, end: float) -> bool:
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
        """Return the numbers of matches of a query without a text."""
        where = joined(index_conditions(search.query))
        rows = "seen.rows AS rows" if self.needs_search(search.query) else "seen.rows AS rows INDEXED BY facts"
        sql = (
            f"SELECT seq FROM {rows} WHERE seq <= ? AND seq > ? AND {where.sql} "  # noqa: S608
            f"ORDER BY seq {_order(search.oldest_first)} LIMIT ?"
        )
        return [seq for (seq,) in self._all(sql, (search.newest, search.after, *where.values, limit))]

    def _candidates(self, search: CaptureSearch) -> Generator[tuple[int, bool], None, None]:
        """Yield the numbers of captures that may match, and whether they do."""
        query, newest, after = search.query, search.newest, search.after
        order = _order(search.oldest_first)
        wanted = joined([*index_conditions(query), text_condition(query.text)])
        expression = match_expression(query.text) if self._has_texts else None
        if expression is None:
            yield from self._from_scan(wanted, newest, after, order)
            return
        low, high = self._texts.low, self._texts.high
        parts = [
            self._from_scan(wanted, newest, max(after, high), order),
            self._from_texts(wanted, expression, min(newest, high), max(after, low - 1), order),
            self._from_scan(wanted, min(newest, low - 1), after, order),
        ]
        for part in reversed(parts) if search.oldest_first else parts:
            yield from part

    def _from_scan(self, wanted: Condition, newest: int, after: int, order: str) -> Iterator[tuple[int, bool]]:
        """Yield matches, and the last capture of each part that was scanned."""
        ends = f"SELECT seq FROM seen.rows WHERE seq <= ? AND seq > ? ORDER BY seq {order} LIMIT 1 OFFSET ?"  # noqa: S608
        sql = f"{_SCAN} AND {wanted.sql} ORDER BY rows.seq {order}"
        while newest > after:
            end = self._value(ends, (newest, after, _SCANNED_AT_ONCE - 1))
            low, high = (after, newest) if end is None else (end - 1, newest) if order == "DESC" else (after, end)
            for (seq,) in self._rows_of(sql, (high, low, *wanted.values)):
                yield seq, True
            if end is None:
                return
            yield end, False
            newest, after = (low, after) if order == "DESC" else (newest, high)

    def _from_texts(
        self, wanted: Condition, expression: str, newest: int, after: int, order: str
    ) -> Iterator[tuple[int, bool]]:
        """Yield what the full-text part finds. Captures that it does not contain completely are searched one by one."""
        if newest <= after:
            return
        texts = (
            f"SELECT texts.rowid, {wanted.sql} FROM seen.texts AS texts "  # noqa: S608
            "CROSS JOIN seen.rows AS rows ON rows.seq = texts.rowid AND NOT rows.is_long "
            "CROSS JOIN main.captures AS captures ON captures.seq = texts.rowid "
            f"WHERE texts MATCH ? AND texts.rowid <= ? AND texts.rowid > ? ORDER BY texts.rowid {order}"
        )
        long = f"{_SCAN} AND rows.is_long ORDER BY rows.seq {order}".replace("rows.seq", f"rows.seq, {wanted.sql}", 1)
        found = merge(
            self._rows_of(texts, (*wanted.values, expression, newest, after)),
            self._rows_of(long, (*wanted.values, newest, after)),
            reverse=order == "DESC",
        )
        for seq, is_match in found:
            yield seq, bool(is_match)

    def _rows_of(self, sql: str, values: Sequence[Any]) -> Iterator[Any]:
        self._keep_readable()
        with self._problems():
            yield from self._connection.execute(portable(sql), values)

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        self._keep_readable()
        with self._problems():
            return self._connection.execute(portable(sql), values).fetchall()

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def _count(self) -> int:
        return int(self._value("SELECT count(*) FROM seen.rows"))

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


def _order(oldest_first: bool) -> str:
    return "ASC" if oldest_first else "DESC"


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
