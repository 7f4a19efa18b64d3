"""The rows of an index: a temporary database that follows a capture store in small, bounded steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from port_hook_cli.captures.database.files import Files, regrow
from port_hook_cli.captures.database.opening import Access, connect, portable, sqlite_problems, store_problem
from port_hook_cli.captures.database.schema import LATEST
from port_hook_cli.captures.index.query import (
    COUNT_BETWEEN,
    DROP_TEXTS,
    FILL_FACTS,
    FILL_NEW,
    FILL_OLD,
    FILL_TEXTS,
    FORGET_DROPPED,
    IS_REUSED,
    PAYLOAD_FACT,
    READ_FACTS,
    REFRESH,
    SEARCHABLE,
    SETTINGS,
    TABLES,
    TEXTS,
    decoded,
    payload_fact,
    searchable,
)
from port_hook_cli.errors import StoreError

ROWS_PER_STEP = 2_000
TEXTS_PER_STEP = 400

# A step indexes the texts of 5 captures at a time, and stops after 0.1 s.
_TEXTS_PER_PART = 5
_STEP_S = 0.1
# Rows without a response are read again until they have one, but only the latest rows, because some never get a
# response.
_LATEST = 2_000
# The full-text part is rebuilt when most of it belongs to deleted captures and there are more of them than this.
_MOST_DROPPED = 5_000


class IndexStep(NamedTuple):
    """The result of one step of `catch_up`.

    `latest` is the number of the latest capture, and `has_new` means that captures arrived. `changed` are the numbers
    of captures that now have an outcome. `is_reset` means that the store was replaced, so the index is filled again.
    `is_behind` means that another step is needed.
    """

    latest: int = 0
    has_new: bool = False
    changed: tuple[int, ...] = ()
    is_reset: bool = False
    is_behind: bool = False


class IndexState(NamedTuple):
    """How much of the store is in the index: the number of `captures`, and of captures whose texts are `indexed`.

    `has_texts` is False without FTS5. `is_complete` means that nothing is left to do.
    """

    has_texts: bool
    indexed: int
    captures: int
    is_complete: bool


@dataclass(slots=True)
class _Range:
    """The range of capture numbers in a part of the index: `low` to `high`, or empty if `high` is smaller."""

    low: int = 1
    high: int = 0


class IndexPoint(NamedTuple):
    """The state of the index at some time: how often it was refilled, the store's version, and its range of numbers."""

    resets: int = 0
    version: int = -1
    low: int = 0
    high: int = 0


class FilledIndex:
    """An open index that follows its store. Several threads may use it, one at a time.

    Without `uses_texts`, the index has no full-text part, as if SQLite had no FTS5. All methods raise StoreError.
    """

    def __init__(self, path: Path, *, uses_texts: bool = True) -> None:
        self.path = path
        self._uses_texts = uses_texts
        self._resets = 0
        self._open()

    def close(self) -> None:
        """Delete the index."""
        self._connection.close()

    @property
    def state(self) -> IndexState:
        """How much of the store is in the index."""
        count, texts = self._count(), self._texts
        indexed = count if self._has_all_texts() else self._value(COUNT_BETWEEN, (texts.low, texts.high))
        is_complete = self._has_history and (not self._has_texts or indexed == count)
        return IndexState(self._has_texts, indexed if self._has_texts else 0, count, is_complete)

    @property
    def latest(self) -> int:
        """The number of the latest capture in the index, or 0 if the index is empty."""
        return self._rows.high

    @property
    def point(self) -> IndexPoint:
        """The current state of the index."""
        return IndexPoint(self._resets, self._version, self._rows.low, self._rows.high)

    def catch_up(self, *, rows: int = ROWS_PER_STEP, texts: int = TEXTS_PER_STEP) -> IndexStep:
        """Bring the index up to date with the store in one bounded step."""
        with sqlite_problems(self.path):
            return self._step(rows, texts)

    def catch_up_rows(self) -> None:
        """Bring everything except the full-text part up to date with the store."""
        while self.catch_up(texts=0).has_new or not self._has_history:
            pass

    def _open(self) -> None:
        """Open the store and begin an empty index. If opening fails, the previous connection stays open."""
        files = Files.at(self.path)
        connection = connect(self.path, Access.SHOW).connection
        connection.text_factory = decoded
        try:
            connection.create_function(SEARCHABLE, 3, searchable, deterministic=True)
            connection.create_function(PAYLOAD_FACT, 3, payload_fact, deterministic=True)
            connection.execute("ATTACH DATABASE '' AS seen")
            for statement in (*SETTINGS, *TABLES):
                connection.execute(statement)
            has_texts = self._uses_texts and _make_texts(connection)
            latest = connection.execute("SELECT max(seq) FROM main.captures").fetchone()[0] or 0
        except sqlite3.Error as error:
            connection.close()
            raise store_problem(error, self.path) from error
        self._connection, self._has_texts = connection, has_texts
        self._files = _latest(files, Files.at(self.path))
        self._rows, self._texts = _Range(latest + 1, latest), _Range(latest + 1, latest)
        self._dropped = 0
        self._has_history = not latest
        self._version = -1
        self._resets += 1

    def _step(self, rows: int, texts: int) -> IndexStep:
        is_reset = self._reopen_if_replaced()
        version = self._value("PRAGMA main.data_version")
        is_changed, self._version = version != self._version, version
        before = self._rows.high
        changed: tuple[int, ...] = ()
        if is_changed:
            self._reject_newer()
            changed = self._refresh()
            self._fill_new(rows)
        is_behind = self._rows.high - before >= rows
        if is_behind:
            self._version = -1
        if not self._has_history:
            self._fill_history(rows)
            is_changed = True  # captures may have been deleted in the meantime
        if self._has_history and is_changed:
            self._forget_dropped()
        # This is the last part: a list without its older captures is worse than a search that is slow for a little
        # longer.
        if self._has_texts and self._has_history:
            self._fill_texts(texts)
        is_behind = is_behind or not self._has_history or (self._has_texts and not self._has_all_texts())
        return IndexStep(self._rows.high, self._rows.high > before, changed, is_reset, is_behind)

    def _reopen_if_replaced(self) -> bool:
        """Restart the index if the store was replaced or its captures were all deleted. Return whether it restarted."""
        self._keep_readable()
        found = Files.at(self.path)
        if self._is_same(found) and not self._is_cleared():
            self._files = _latest(self._files, found)
            return False
        old = self._connection
        self._open()
        old.close()
        return True

    def _reject_newer(self) -> None:
        """Raise StoreError if a newer port-hook has changed the store's tables since the index opened the store."""
        version = self._value("PRAGMA main.user_version")
        if version > LATEST:
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
        """Restore the size of an emptied `-shm` file, because the system kills a process that reads it."""
        found = Files.at(self.path)
        if found.index_id is not None and found.index_size < self._files.index_size:
            regrow(self.path)

    def _is_cleared(self) -> bool:
        """Return whether the latest captures were deleted, so the store's latest capture is older than the index's.

        Later captures reuse the numbers of deleted captures, so the IDs are compared too.
        """
        latest = self._value("SELECT max(seq) FROM main.captures") or 0
        return bool(latest < self._rows.high or self._value(IS_REUSED, (self._rows.high,)))

    def _has_all_texts(self) -> bool:
        return self._texts.low <= self._rows.low and self._texts.high >= self._rows.high

    def _forget_dropped(self) -> None:
        """Remove the captures that a listener deleted because the store was full."""
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
        """Index the text and the payload of at most `limit` captures: first new captures, then older captures."""
        texts, rows, end = self._texts, self._rows, monotonic() + _STEP_S
        for part in _parts(limit):
            high, low = min(texts.high + part, rows.high), max(texts.low - part, rows.low)
            if high > texts.high:
                self._fill_text(texts.high + 1, high)
                texts.high = high
            elif low < texts.low:
                self._fill_text(low, texts.low - 1)
                texts.low = low
            else:
                break
            if monotonic() > end:
                break

    def _fill_text(self, low: int, high: int) -> None:
        self._connection.execute(portable(FILL_TEXTS), (low, high))
        facts = self._connection.execute(portable(READ_FACTS), (low, high)).fetchall()
        self._connection.executemany(FILL_FACTS, [each for each in facts if each[0] is not None])

    def _count(self) -> int:
        return int(self._value("SELECT count(*) FROM seen.rows"))

    def _rows_of(self, sql: str, values: Sequence[Any]) -> Iterator[Any]:
        self._keep_readable()
        with sqlite_problems(self.path):
            yield from self._connection.execute(portable(sql), values)

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        self._keep_readable()
        with sqlite_problems(self.path):
            return self._connection.execute(portable(sql), values).fetchall()

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        row = self._all(sql, values)
        return row[0][0] if row else None


def _make_texts(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute(TEXTS)
    except sqlite3.OperationalError:  # no FTS5, or FTS5 without trigrams
        return False
    return True


def _latest(known: Files, found: Files) -> Files:
    """Return the known state of a store's files. SQLite creates the files next to the store only when it needs them."""
    return found._replace(log_id=found.log_id or known.log_id, index_id=found.index_id or known.index_id)


def _parts(limit: int) -> Iterator[int]:
    for start in range(0, limit, _TEXTS_PER_PART):
        yield min(_TEXTS_PER_PART, limit - start)
