"""Read an open store: find, list and count its captures."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from port_hook_cli.captures import missing
from port_hook_cli.captures.database.conditions import Statement
from port_hook_cli.captures.database.opening import (
    Access,
    StoreLocked,
    connect,
    sqlite_problems,
    store_path,
    without_waiting,
)
from port_hook_cli.captures.database.rows import Row, read_row, text_column
from port_hook_cli.captures.latest import Latest, parse_latest
from port_hook_cli.captures.store import statements
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import SIGNATURE_HEADER
from port_hook_cli.invocations.models import Capture

if TYPE_CHECKING:
    from port_hook_cli.captures.listed import ListedCapture

# The limits of one read: ten milliseconds of work, and these bytes plus one capture.
_PAGE, _PAGE_BYTES = 200, 4 * 1024 * 1024

_NUMBERED = f"seq, {statements.BOUNDED}"

T = TypeVar("T")
Numbered = tuple[int, Capture]
"""A capture, and its number in the store."""
BodyFilter = Callable[[Iterable[tuple[int, Any]]], Iterator[int]]
"""Takes the numbers and bodies of captures, and yields the numbers of the matches in the same order."""


class OpenDatabase(Protocol):
    """A store's open file, and warnings about its files for the user."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The current connection. A commit may replace the connection, so get it again for each query."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Messages for the user, without a final period."""


class StoreReader:
    """A store that is open for reading, as `open_reader` returns it. Other programs may write to it at the same time.

    `warnings` are messages for the user about the store's files.
    """

    def __init__(self, path: Path, opened: OpenDatabase) -> None:
        self.path = path
        self.warnings = opened.warnings
        self._opened = opened

    def get(self, name: str) -> Capture:
        """Return a capture by its ID, by a unique prefix of its ID, or by a name from `latest`. Raises StoreError."""
        return self.named(name)[1]

    def named(self, name: str) -> Numbered:
        """Return the capture that `get` returns, with its number. Raises StoreError."""
        latest = parse_latest(name)
        if latest is None:
            found = next(self._read((statements.by_number(_NUMBERED), [self._number(name)]), self._numbered), None)
        else:
            found = self._latest(_kind_of(latest), latest.back)
        if found is None:
            raise missing.no_captures(str(self.path)) if latest is None else self._none_so_late(name, latest)
        return found

    def _number(self, name: str) -> int:
        """Return the number of the only capture that `name` can mean. Raises StoreError."""
        wanted = text_column(name)
        found = self._rows(statements.BY_PREFIX, [len(name), wanted, wanted, missing.MOST_NAMED + 1])
        if not found:
            ever, now = self._rows(statements.EVER_AND_NOW, [])[0]
            raise missing.no_such(str(self.path), name, ever=ever, now=now)
        number, capture_id = found[0]
        if len(found) > 1 and capture_id != name:
            raise missing.ambiguous(name, [str(capture_id) for _, capture_id in found])
        return int(number)

    def _none_so_late(self, name: str, latest: Latest) -> StoreError:
        """Return the error for a name from `latest` if the store has too few captures of that kind."""
        one_more = statements.search(_kind_of(latest), columns="1", limit=latest.back + 1)
        count = len(self._rows(*one_more))
        captures = count or self.number_of_captures()
        return missing.no_latest(str(self.path), name, latest, count=count, captures=captures)

    def latest(self, wanted: statements.StoreFilter = statements.EVERYTHING, *, back: int = 0) -> Capture | None:
        """Return the latest matching capture, or the capture `back` captures earlier, or None. Raises StoreError."""
        found = self._latest(wanted, back)
        return None if found is None else found[1]

    def _latest(self, wanted: statements.StoreFilter, back: int = 0) -> Numbered | None:
        query = statements.search(wanted, columns=_NUMBERED, limit=1, skip=back)
        return next(self._read(query, self._numbered), None)

    def of_run(self, run_id: str) -> Capture | None:
        """Return the latest capture of a run, or None. A received request comes before replays. Raises StoreError."""
        found = self.named_by_run(run_id)
        return None if found is None else found[1]

    def named_by_run(self, run_id: str) -> Numbered | None:
        """Return the capture that `of_run` returns, with its number, or None. Raises StoreError."""
        of_run = statements.StoreFilter(run_id=run_id)
        return self._latest(replace(of_run, originals=True)) or self._latest(of_run)

    def _numbered(self, row: Row) -> Numbered:
        return int(row[0]), self.read_capture(row[1:])

    def read_capture(self, row: Row) -> Capture:
        """Return the capture from a row. Raises ValueError for a damaged row."""
        return read_row(row)

    def select(
        self,
        wanted: statements.StoreFilter = statements.EVERYTHING,
        *,
        limit: int | None = None,
        bodies: BodyFilter | None = None,
        oldest: bool = False,
    ) -> Iterator[Capture]:
        """Yield the captures that match, latest first unless `oldest` is set. Raises StoreError."""
        return self._select(wanted, statements.BOUNDED, read_row, limit=limit, bodies=bodies, oldest=oldest)

    def listed(
        self,
        wanted: statements.StoreFilter = statements.EVERYTHING,
        *,
        limit: int | None = None,
        bodies: BodyFilter | None = None,
    ) -> Iterator[ListedCapture]:
        """Yield the same captures as `select`, in the form for a list. Raises StoreError."""
        from port_hook_cli.captures.database.listing import LISTED, read_listed

        return self._select(wanted, LISTED, read_listed, limit=limit, bodies=bodies)

    def _select(
        self,
        wanted: statements.StoreFilter,
        columns: str,
        read: Callable[[Row], T],
        *,
        limit: int | None,
        bodies: BodyFilter | None,
        oldest: bool = False,
    ) -> Iterator[T]:
        """Yield the matching captures, converted from the given columns by `read`."""
        if bodies is not None:
            query = statements.search(wanted, columns=statements.NUMBER_AND_BODY, oldest=oldest)
            return islice(self._read_kept(query, bodies, statements.by_number(columns), read), limit)
        if oldest:
            return self._read(statements.search(wanted, columns=columns, limit=limit, oldest=True), read)
        return self._read_pages(wanted, columns, read, limit=sys.maxsize if limit is None else limit)

    def _read_pages(
        self, wanted: statements.StoreFilter, columns: str, read: Callable[[Row], T], *, limit: int
    ) -> Iterator[T]:
        """Yield captures, latest first, and read them in batches.

        SQLite cannot restart its log while a statement is being read, and the caller may take long between two
        captures, for example when it writes to a pager.
        """
        numbers, is_last = wanted.numbers, False
        while limit > 0 and not is_last:
            size, part = min(limit, _PAGE), replace(wanted, numbers=numbers)
            rows, is_last = self._page(statements.search(part, columns=f"seq, {columns}", limit=size), size)
            for row in rows:
                yield self._made(read, row[1:])
            limit -= len(rows)
            numbers = numbers._replace(upto=rows[-1][0] - 1) if rows else numbers

    def _page(self, query: Statement, most: int) -> tuple[Sequence[Row], bool]:
        """Return the rows of a query for `most` rows, and whether these are all.

        The page ends early with the row that exceeds a limit in bytes.
        """
        rows: list[Row] = []
        size = 0
        with sqlite_problems(self.path), closing(self._opened.connection.execute(*query)) as found:
            for row in found:
                rows.append(row)
                size += sum(map(length_hint, row))  # the length is 0 for a number
                if size > _PAGE_BYTES:
                    return rows, False
        return rows, len(rows) < most

    def _read_kept(self, query: Statement, bodies: BodyFilter, by_number: str, read: Callable[[Row], T]) -> Iterator[T]:
        with sqlite_problems(self.path):
            for number in bodies(self._opened.connection.execute(*query)):
                yield from self._read((by_number, [number]), read)

    def signed_before(self, capture: Capture) -> Capture | None:
        """Return the latest earlier capture of a verified request with this capture's signature, or None."""
        request = capture.invocation
        signature = text_column(request.headers.get(SIGNATURE_HEADER))
        found = self._rows(statements.SIGNED_BEFORE, [request.received_at, signature])
        numbers = [number for (number,) in found if isinstance(number, int)]
        return next(self._read((statements.by_number(), numbers), read_row), None) if numbers else None

    def replayed(self) -> dict[str, bool]:
        """Return whether the latest replay of each capture succeeded, by capture ID. Raises StoreError."""
        rows = self._rows(statements.OUTCOMES_OF_REPLAYS, [])
        return {name: bool(succeeded) for name, succeeded in rows if isinstance(name, str)}

    def runs_among(self, run_ids: Iterable[str]) -> set[str]:
        """Return the run IDs that have captures, among `run_ids`. Raises StoreError."""
        import json  # few commands need it

        rows = self._rows(statements.RUNS_AMONG, [json.dumps(list(run_ids))])
        return {name for (name,) in rows if isinstance(name, str)}

    def last_number(self) -> int:
        """Return the number of the latest capture, or 0 for an empty store. Raises StoreError."""
        return int(self._rows(statements.LATEST, [])[0][0] or 0)

    def without_outcome(self, wanted: statements.StoreFilter, *, limit: int) -> tuple[int, ...]:
        """Return the numbers of the matching captures without an outcome, oldest first. Raises StoreError."""
        query = statements.search(replace(wanted, without_outcome=True), columns="seq", limit=limit, oldest=True)
        return tuple(int(number) for (number,) in self._rows(*query))

    def number_of_captures(self) -> int:
        """Return the number of captures. Raises StoreError."""
        return int(self._rows(statements.EVER_AND_NOW, [])[0][1])

    def last_target(self) -> str | None:
        """Return the target of this store's last listener, or None if the listener didn't forward. Raises StoreError.

        Any program may have written the target, so check it before you send anything there.
        """
        rows = self._rows(statements.LAST_TARGET, [])
        return rows[0][0] if rows and isinstance(rows[0][0], str) else None

    def addresses(self) -> set[str]:
        """Return the hosts and ports at which Port reached this store's listeners. Raises StoreError.

        Any program may have written them.
        """
        return {address for (address,) in self._rows(statements.ADDRESSES, []) if isinstance(address, str)}

    def complete_since(self) -> float:
        """Return the time of the latest deleted capture in seconds since the epoch, or 0.0. Raises StoreError."""
        rows = self._rows(statements.LATEST_DELETION, [])
        return max((float(at) for (at,) in rows), default=0.0)

    def check_writable(self) -> None:
        """Raise StoreError if the store cannot be written. This check doesn't write anything.

        A store to which another program is writing is not an error.
        """
        connection = self._opened.connection
        with suppress(StoreLocked), sqlite_problems(self.path), without_waiting(connection):
            connection.execute("BEGIN IMMEDIATE")
            try:
                # BEGIN succeeds even if the file is read-only. The first statement that writes fails.
                connection.execute("DELETE FROM captures WHERE FALSE")
            finally:
                connection.rollback()

    def close(self) -> None:
        """Close the file."""
        self._opened.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with sqlite_problems(self.path):
            return self._opened.connection.execute(sql, values).fetchall()

    def _read(self, query: Statement, read: Callable[[Row], T]) -> Iterator[T]:
        with sqlite_problems(self.path):
            for row in self._opened.connection.execute(*query):
                yield self._made(read, row)

    def _made(self, read: Callable[[Row], T], row: Row) -> T:
        try:
            return read(row)
        except ValueError as error:
            raise StoreError(f"A capture in {self.path} is damaged: {error}.", hint="Was it edited by hand?") from error


def _kind_of(latest: Latest) -> statements.StoreFilter:
    return statements.StoreFilter(originals=not latest.replays)


def open_reader(option: Path | None, cwd: Path, *, show_only: bool = False) -> StoreReader:
    """Open the store at `store_path(option, cwd)` for reading.

    With `show_only`, the captures are only displayed, so the store may belong to another user. Raises StoreError if the
    store is missing, or for the same reasons as `open_store`.
    """
    path = store_path(option, cwd)
    return StoreReader(path, connect(path, Access.SHOW if show_only else Access.READ))
