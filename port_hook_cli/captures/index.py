"""An index over a capture store for readers that search, filter and count: `captures --search` and the inspector.

It lives in a temporary database of this process and is filled from the store in small steps. So the listener pays
nothing for it, and there is no file that a stranger could have prepared. The full-text part (SQLite's FTS5 with
trigrams) finds candidates, and the store's own rows decide; where FTS5 is missing, or has not come that far, the rows
are searched one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

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
from port_hook_cli.captures.rows import CAPTURE_COLUMNS, read_row, text_column
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Exchange, Headers, Invocation, Payload, Status, Verdict

ROWS_PER_STEP = 2_000
TEXTS_PER_STEP = 400
MAX_SPANS = 100_000
MAX_MATCHES = 20_000
"""How many matches of a text are counted: each is read to be sure of it."""

# A row shows who invoked it, which is in the body. Larger bodies are not read for a row of a list.
_LARGEST_BODY_OF_A_ROW = 256 * 1024
# A body is indexed up to here. The rest of a larger one is not found by its text.
_INDEXED_BYTES = 1024 * 1024
# Rows without a response are read again until they have one, but only the latest: some never get one.
_LATEST = 2_000

_RESPONSE = "CASE WHEN json_valid(answer) THEN json_extract(answer, '$.status') END"
_HANDLER = "CASE WHEN json_valid(delivery) THEN json_extract(delivery, '$.status') END"
_FAULT = (
    "CASE WHEN json_valid(delivery) AND json_extract(delivery, '$.status') IS NULL "
    "THEN coalesce(json_extract(delivery, '$.fault'), 'failed') END"
)
_OUTCOME = f"{_RESPONSE} AS response, {_HANDLER} AS handler, {_FAULT} AS fault"

# The index is lost with the process, so nothing has to survive a crash.
_SETTINGS = (
    "PRAGMA seen.journal_mode = OFF",
    "PRAGMA seen.synchronous = OFF",
    "PRAGMA seen.cache_size = -65536",
)
_TABLES = (
    """
    CREATE TABLE seen.rows (
        seq INTEGER PRIMARY KEY, received_at REAL, id TEXT, replay_of TEXT, run_id TEXT, action TEXT,
        verdict TEXT, is_verified INTEGER, response INTEGER, handler INTEGER, fault TEXT
    )
    """,
    "CREATE INDEX seen.open_rows ON rows (seq) WHERE response IS NULL AND fault IS NULL",
    "CREATE INDEX seen.ids ON rows (id)",
    "CREATE INDEX seen.runs ON rows (run_id) WHERE run_id IS NOT NULL",
    "CREATE INDEX seen.replays ON rows (replay_of) WHERE replay_of IS NOT NULL",
)
_TEXTS = "CREATE VIRTUAL TABLE seen.texts USING fts5(text, content='', tokenize='trigram', detail='none', columnsize=0)"
_FILL = f"""
    INSERT INTO seen.rows
    SELECT seq, received_at, id, replay_of, run_id, action, status, is_verified, {_RESPONSE}, {_HANDLER}, {_FAULT}
    FROM main.captures
"""  # noqa: S608 - names of our own
_FILL_NEW = f"{_FILL} WHERE seq > ? ORDER BY seq LIMIT ?"
_FILL_OLD = f"{_FILL} WHERE seq < ? ORDER BY seq DESC LIMIT ?"
_FILL_TEXTS = f"""
    INSERT INTO seen.texts (rowid, text)
    SELECT seq, CAST(target AS TEXT) || char(10) || CAST(headers AS TEXT) || char(10)
        || CAST(substr(body, 1, {_INDEXED_BYTES}) AS TEXT)
    FROM main.captures WHERE seq BETWEEN ? AND ?
"""  # noqa: S608
_REFRESH = f"""
    UPDATE seen.rows SET response = found.response, handler = found.handler, fault = found.fault
    FROM (
        SELECT seq, {_OUTCOME} FROM main.captures
        WHERE seq IN (SELECT seq FROM seen.rows INDEXED BY open_rows
                      WHERE response IS NULL AND fault IS NULL AND seq > ?)
          AND (answer IS NOT NULL OR delivery IS NOT NULL)
    ) AS found
    WHERE rows.seq = found.seq RETURNING rows.seq
"""  # noqa: S608
_FAILED = "(NOT rows.is_verified OR rows.response >= 400 OR rows.fault IS NOT NULL)"

_COLUMNS_OF_A_ROW = ", ".join(
    f"CASE WHEN length(body) <= {_LARGEST_BODY_OF_A_ROW} THEN body ELSE x'' END"
    if name == "body"
    else f"CASE WHEN {name} IS NULL THEN NULL ELSE x'' END"
    if name in {"delivery_body", "answer_body"}
    else name
    for name in CAPTURE_COLUMNS
)
_SIZE = "coalesce(body_size, length(body))"
_WHOLE = ", ".join(CAPTURE_COLUMNS)
_ROW_PARAMETERS = 500
_AFTER_ANY_ID = "\U0010ffff"


class Step(NamedTuple):
    """What one step of `catch_up` did.

    `newest` is the number of the newest capture, and `has_new` says that captures arrived. `changed` are the numbers of
    captures that have got their outcome. `is_reset` says that the store was replaced, and that the index is filled
    again. `is_behind` says that there is more to do.
    """

    newest: int
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


class CaptureIndex:
    """An open index. It may be used in several threads, by one at a time. All methods raise StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def close(self) -> None:
        """Drop the index."""
        self._connection.close()

    @property
    def state(self) -> IndexState:
        """How much of the store is in the index."""
        count = self._value("SELECT count(*) FROM seen.rows")
        indexed = self._value(
            "SELECT count(*) FROM seen.rows WHERE seq BETWEEN ? AND ?", (self._texts.low, self._texts.high)
        )
        is_complete = self._has_history and (not self._has_texts or indexed == count)
        return IndexState(self._has_texts, indexed if self._has_texts else 0, count, is_complete)

    @property
    def newest(self) -> int:
        """The number of the newest capture in the index, 0 for none."""
        return self._rows.high

    def catch_up(self, *, rows: int = ROWS_PER_STEP, texts: int = TEXTS_PER_STEP) -> Step:
        """Bring the index up to date with the store in one bounded step."""
        try:
            return self._step(rows, texts)
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def catch_up_rows(self) -> None:
        """Bring everything but the full-text part up to date."""
        while not self._has_history or self.catch_up(texts=0).has_new:
            self.catch_up(texts=0)

    def page(
        self, query: CaptureQuery, *, newest: int | None = None, after: int = 0, limit: int, oldest_first: bool = False
    ) -> list[int]:
        """Return the numbers of at most `limit` matches, newest first: those up to `newest` and above `after`."""
        top = self._rows.high if newest is None else min(newest, self._rows.high)
        return list(islice(self._seqs(query, top, after, limit, oldest_first=oldest_first), limit))

    def spans(self, query: CaptureQuery, *, max_spans: int = MAX_SPANS) -> Spans:
        """Return the numbers of all matches as spans."""
        spans: list[tuple[int, int]] = []
        count, last = 0, -1
        for seq in self._seqs(query, self._rows.high, 0, -1):
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
            f"SELECT min(CAST((rows.received_at - ?) / ? AS INTEGER), ?) AS bucket, count(*), sum({_FAILED}) "  # noqa: S608
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
            sql = f"SELECT seq, {_SIZE}, {_COLUMNS_OF_A_ROW} FROM main.captures WHERE seq IN ({marks})"  # noqa: S608
            for seq, size, *columns in self._all(sql, part):
                found[seq] = Listed(seq, _read(columns), size)
        return [found[seq] for seq in seqs if seq in found]

    def get(self, name: str) -> tuple[int, Exchange]:
        """Return number and exchange of the capture whose id is, or begins with, `name`; the newest for `last`."""
        if name == "last":
            rows = self._all(f"SELECT seq, {_WHOLE} FROM main.captures ORDER BY seq DESC LIMIT 1")  # noqa: S608
        else:
            rows = self._all(
                f"SELECT seq, {_WHOLE} FROM main.captures WHERE seq IN "  # noqa: S608
                "(SELECT seq FROM seen.rows WHERE id >= ? AND id < ? ORDER BY id LIMIT 2) ORDER BY id",
                (name, name + _AFTER_ANY_ID),
            )
            rows = rows[:1] if rows and rows[0][1] == name else rows
        if not rows:
            raise StoreError(
                f"There is no capture {name}.", hint="It may have been dropped: the store keeps the latest."
            )
        if len(rows) > 1:
            raise StoreError(f"'{name}' is the start of several captures.", hint="Type more of the id.")
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
        self._connection = connect(self.path, Access.SHOW).connection
        try:
            self._connection.execute("ATTACH DATABASE '' AS seen")
            for statement in (*_SETTINGS, *_TABLES):
                self._connection.execute(statement)
            self._has_texts = self._make_texts()
        except sqlite3.Error as error:
            self._connection.close()
            raise store_problem(error, self.path) from error
        self._identity = _identity(self.path)
        newest = self._value("SELECT max(seq) FROM main.captures") or 0
        self._rows, self._texts = _Range(newest + 1, newest), _Range(newest + 1, newest)
        self._has_history = not newest
        self._version = -1

    def _make_texts(self) -> bool:
        try:
            self._connection.execute(_TEXTS)
        except sqlite3.OperationalError:  # no FTS5, or one without trigrams
            return False
        return True

    def _step(self, rows: int, texts: int) -> Step:
        is_reset = False
        if _identity(self.path) != self._identity or self._is_cleared():
            self._connection.close()
            self._open()
            is_reset = True
        version = self._value("PRAGMA main.data_version")
        is_changed, self._version = version != self._version, version
        before = self._rows.high
        changed: tuple[int, ...] = ()
        if is_changed:
            changed = self._refresh()
            self._fill_new(rows)
        is_behind = self._rows.high - before >= rows
        if is_behind:
            self._version = -1
        if not self._has_history:
            self._fill_history(rows)
        if self._has_texts:
            self._fill_texts(texts)
        is_behind = is_behind or not self._has_history or (self._has_texts and self._texts.low > self._rows.low)
        return Step(self._rows.high, self._rows.high > before, changed, is_reset, is_behind)

    def _is_cleared(self) -> bool:
        """Return whether the store has fewer captures than the index knows: someone deleted them all."""
        newest = self._value("SELECT max(seq) FROM main.captures") or 0
        return bool(newest < self._rows.high)

    def _refresh(self) -> tuple[int, ...]:
        found = self._connection.execute(_REFRESH, (self._rows.high - _LATEST,)).fetchall()
        return tuple(sorted(seq for (seq,) in found))

    def _fill_new(self, limit: int) -> None:
        self._connection.execute(_FILL_NEW, (self._rows.high, limit))
        self._rows.high = max(self._rows.high, self._value("SELECT max(seq) FROM seen.rows") or 0)

    def _fill_history(self, limit: int) -> None:
        added = self._connection.execute(_FILL_OLD, (self._rows.low, limit)).rowcount
        self._rows.low = self._value("SELECT min(seq) FROM seen.rows") or self._rows.low
        self._has_history = added < limit

    def _fill_texts(self, limit: int) -> None:
        """Index the text of at most `limit` captures: new ones first, then older ones."""
        texts, rows = self._texts, self._rows
        high = min(texts.high + limit, rows.high)
        if high > texts.high:
            self._connection.execute(_FILL_TEXTS, (texts.high + 1, high))
            texts.high = high
        low = max(texts.low - limit, rows.low)
        if low < texts.low:
            self._connection.execute(_FILL_TEXTS, (low, texts.low - 1))
            texts.low = low

    def _where(self, query: CaptureQuery) -> Condition:
        """Return FROM and WHERE for all matches of `query`."""
        conditions = index_conditions(query)
        if not query.text:
            where = joined(conditions)
            return replace(where, sql=f"seen.rows AS rows WHERE {where.sql}")
        seqs = islice(self._seqs(query, self._rows.high, 0, MAX_MATCHES), MAX_MATCHES)
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS found (seq INTEGER PRIMARY KEY)")
        self._connection.execute("DELETE FROM temp.found")
        self._connection.executemany("INSERT INTO temp.found VALUES (?)", ((seq,) for seq in list(seqs)))
        return Condition("temp.found JOIN seen.rows AS rows USING (seq) WHERE 1")

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
        if newest <= after:
            return
        where = joined(wanted)
        sql = (
            "SELECT texts.rowid FROM seen.texts AS texts "  # noqa: S608
            "CROSS JOIN seen.rows AS rows ON rows.seq = texts.rowid "
            "CROSS JOIN main.captures AS captures ON captures.seq = texts.rowid "
            f"WHERE texts MATCH ? AND texts.rowid <= ? AND texts.rowid > ? AND {where.sql} "
            f"ORDER BY texts.rowid {order} LIMIT ?"
        )
        yield from self._numbers(sql, (expression, newest, after, *where.values, limit))

    def _numbers(self, sql: str, values: Sequence[Any]) -> Iterator[int]:
        try:
            for (seq,) in self._connection.execute(sql, values):
                yield seq
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise store_problem(error, self.path) from error

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        row = self._all(sql, values)
        return row[0][0] if row else None


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


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
