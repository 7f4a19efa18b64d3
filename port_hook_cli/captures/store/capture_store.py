"""The store, as commands read it and listeners write it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from port_hook_cli.captures import missing
from port_hook_cli.captures.database.opening import Access, sqlite_problems, store_path
from port_hook_cli.captures.database.resilient import ResilientDatabase, Statement
from port_hook_cli.captures.database.rows import (
    CAPTURE_COLUMNS,
    Row,
    capture_row,
    capture_weight,
    outcome_row,
    outcome_weight,
    parse_origin,
    read_row,
    text_column,
)
from port_hook_cli.captures.latest import Latest, parse_latest
from port_hook_cli.captures.store import statements
from port_hook_cli.captures.store.name_blocks import ADD_NAME, add_block
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, Headers
from port_hook_cli.invocations.models import Exchange, Invocation, MessageOrigin, Partition

if TYPE_CHECKING:
    import sqlite3

    from port_hook_cli.captures.listed import ListedCapture
    from port_hook_cli.captures.store.deleting import PruneCount, PruneRule
    from port_hook_cli.captures.store.trimming import Trimmer

# The limits are enforced after a twentieth of the limit, but at least and at most after these numbers of captures, or
# after this many bytes. That takes a millisecond or two. Fewer than one request in a hundred should wait for it.
_TIDY_SHARE, _TIDY_AT_LEAST, _TIDY_AT_MOST = 20, 64, 500
_TIDY_BYTES = 16 * 1024 * 1024
_RECEIVED_AT = CAPTURE_COLUMNS.index("received_at")

GIB = 1024 * 1024 * 1024

# What is read at a time: ten milliseconds of work, and one capture more than these bytes.
_PAGE, _PAGE_BYTES = 200, 4 * 1024 * 1024

Read = TypeVar("Read")
BodyFilter = Callable[[Iterable[tuple[int, Any]]], Iterator[int]]


class CaptureStore:
    """An open store: `open_store` makes one.

    One thread may open it and others use it, one at a time. Other stores, in this process or
    another, may have the same file open.
    """

    def __init__(
        self,
        path: Path,
        *,
        access: Access,
        max_captures: int = 10_000,
        max_size: int = GIB,
        keep_secrets: bool = False,
    ) -> None:
        self.path = path
        self._database = ResilientDatabase(path, access)
        self.warnings = self._database.warnings
        self.losses: Sequence[str] = self._database.losses
        """What `take_losses` returns next."""
        self.tidies = True
        """Whether `write` enforces the limits. Otherwise, the caller calls `tidy` when the store `is_untidy`."""
        self.is_untidy = False
        """Whether so much was written that it is time to call `tidy`."""
        self._max_captures, self._max_size = max_captures, max_size
        self._trimmer: Trimmer | None = None  # readers do not need it
        self._tidy_every = min(max(_TIDY_AT_LEAST, max_captures // _TIDY_SHARE), _TIDY_AT_MOST)
        self._keep_secrets = keep_secrets
        self._rows_until_tidy = 0
        self._bytes_until_tidy = 0
        self._has_added = False

    def add(self, exchanges: Sequence[Exchange]) -> None:
        """Save exchanges in one transaction; raises StoreError, and then none of them is saved."""
        self.write([self.row(exchange) for exchange in exchanges], [])

    def complete(self, exchanges: Sequence[Exchange]) -> None:
        """Add delivery and response to exchanges that were saved, in one transaction; raises StoreError.

        Exchanges that have been dropped since are ignored.
        """
        self.write([], [self.outcome(exchange) for exchange in exchanges])

    def row(self, exchange: Exchange) -> Row:
        """Return the row that `write` adds for an exchange, its credentials masked unless they are to be kept.

        Only the beginning of a refused request's body is kept. A request is refused if it fails verification and is not
        forwarded.
        """
        return capture_row(exchange, keep_secrets=self._keep_secrets)

    def outcome(self, exchange: Exchange) -> Row:
        """Return what `write` adds to an exchange that was saved."""
        return outcome_row(exchange, keep_secrets=self._keep_secrets)

    def write(
        self, rows: Sequence[Row], outcomes: Sequence[Row], *, size: int | None = None, patient: bool = True
    ) -> None:
        """Commit rows and outcomes together; raises StoreError, and then nothing is written.

        `size` is the sum of their weights, for a caller that knows it. Without `patient`, StoreLocked is raised
        immediately for a file that another program has locked, instead of after five seconds.
        """
        if not rows and not outcomes:
            return
        if size is None:
            size = sum(map(capture_weight, rows)) + sum(map(outcome_weight, outcomes))
        is_small = size <= statements.MOST_BYTES
        steps = statements.inserts(rows, small=is_small)
        if outcomes:
            steps += statements.updates(outcomes, small=is_small)
        self._database.commit(steps, patient=patient, newest_at=rows[-1][_RECEIVED_AT] if rows else None)
        self._rows_until_tidy -= len(rows)
        self._bytes_until_tidy -= size
        self.is_untidy = self._rows_until_tidy < 0 or self._bytes_until_tidy < 0
        self._has_added = self._has_added or bool(rows)
        while self.tidies and self.is_untidy and self.tidy():
            pass

    def tidy(self, *, patient: bool = True) -> bool:
        """Enforce the limits in one small step, and return whether there is more to do. `patient` is as for `write`.

        If the store cannot be written, the step is tried again after more captures are written.
        """
        has_more = False

        def step(connection: sqlite3.Connection) -> None:
            nonlocal has_more
            has_more = self._tidy(connection)

        try:
            self._database.commit([], patient=patient, last=step)
        except StoreError:
            self._count_again()
            has_more = False
        self.is_untidy = has_more
        if not has_more:
            self._rows_until_tidy, self._bytes_until_tidy = self._tidy_every, _TIDY_BYTES
        return has_more

    def get(self, name: str) -> Exchange:
        """Return one capture by id, by a prefix that only one id has, or by a name of `latest`; raises StoreError."""
        latest = parse_latest(name)
        query = (statements.by_number(), [self._number(name)]) if latest is None else _query_of(latest)
        found = next(self._read(query, read_row), None)
        if found is None:
            raise _error(missing.no_captures(str(self.path))) if latest is None else self._none_so_late(name, latest)
        return found

    def newest(
        self, *, run_id: str | None = None, with_run: bool = False, originals: bool | None = None, back: int = 0
    ) -> Exchange | None:
        """Return the newest capture, or the one `back` captures before it, if there is one; raises StoreError.

        `StoreFilter` describes the other parameters.
        """
        wanted = statements.StoreFilter(run_id=run_id, with_run=with_run, originals=originals)
        return next(self._read(statements.search(wanted, limit=1, skip=back), read_row), None)

    def select(
        self,
        wanted: statements.StoreFilter = statements.EVERYTHING,
        *,
        limit: int | None = None,
        bodies: BodyFilter | None = None,
        oldest: bool = False,
    ) -> Iterator[Exchange]:
        """Yield the captures that match, newest first unless `oldest` is set; raises StoreError.

        `bodies` takes the numbers and bodies of captures, and yields the numbers to keep, in the same order.
        """
        return self._select(wanted, statements.BOUNDED, read_row, limit=limit, bodies=bodies, oldest=oldest)

    def listed(
        self,
        wanted: statements.StoreFilter = statements.EVERYTHING,
        *,
        limit: int | None = None,
        bodies: BodyFilter | None = None,
    ) -> Iterator[ListedCapture]:
        """Yield what a list shows of the captures that `select` yields. Raises StoreError."""
        from port_hook_cli.captures.database.listing import LISTED, read_listed

        return self._select(wanted, LISTED, read_listed, limit=limit, bodies=bodies)

    def _select(
        self,
        wanted: statements.StoreFilter,
        columns: str,
        read: Callable[[Row], Read],
        *,
        limit: int | None,
        bodies: BodyFilter | None,
        oldest: bool = False,
    ) -> Iterator[Read]:
        """Yield what `read` makes of these columns of the captures that match."""
        if bodies is not None:
            query = statements.search(wanted, columns=statements.NUMBER_AND_BODY, oldest=oldest)
            return islice(self._read_kept(query, bodies, statements.by_number(columns), read), limit)
        if oldest:
            return self._read(statements.search(wanted, columns=columns, limit=limit, oldest=True), read)
        return self._read_pages(wanted, columns, read, limit=sys.maxsize if limit is None else limit)

    def _read_pages(
        self, wanted: statements.StoreFilter, columns: str, read: Callable[[Row], Read], *, limit: int
    ) -> Iterator[Read]:
        """Yield the newest captures first, and read some of them at a time.

        Whoever uses them may wait for a long time, such as for a pager. Meanwhile, SQLite must be able to restart its
        log, and cannot while a statement is being read.
        """
        while limit > 0:
            size = min(limit, _PAGE)
            rows, is_last = self._page(statements.search(wanted, columns=f"seq, {columns}", limit=size), size)
            for row in rows:
                yield self._made(read, row[1:])
            if is_last:
                return
            limit -= len(rows)
            wanted = replace(wanted, numbers=wanted.numbers._replace(upto=rows[-1][0] - 1))

    def _page(self, query: Statement, most: int) -> tuple[Sequence[Row], bool]:
        """Return the rows of a query for `most` rows, up to a number of bytes, and whether they are all."""
        rows: list[Row] = []
        size = 0
        with sqlite_problems(self.path), closing(self._database.connection.execute(*query)) as found:
            for row in found:
                rows.append(row)
                size += sum(len(value) for value in row if isinstance(value, (bytes, str)))
                if size > _PAGE_BYTES:
                    return rows, False
        return rows, len(rows) < most

    def _read_kept(
        self, query: Statement, bodies: BodyFilter, by_number: str, read: Callable[[Row], Read]
    ) -> Iterator[Read]:
        with sqlite_problems(self.path):
            for number in bodies(self._database.connection.execute(*query)):
                yield from self._read((by_number, [number]), read)

    def replayed(self) -> dict[str, bool]:
        """Return whether the latest replay of each capture succeeded, by the capture's id; raises StoreError."""
        rows = self._rows(statements.OUTCOMES_OF_REPLAYS, [])
        return {name: bool(succeeded) for name, succeeded in rows if isinstance(name, str)}

    def prunable(self, rule: PruneRule) -> PruneCount:
        """Return how many captures `prune` would delete and leave; raises StoreError."""
        from port_hook_cli.captures.store.deleting import count_prunable

        with sqlite_problems(self.path):
            return count_prunable(self._database.connection, rule)

    def prune(self, rule: PruneRule) -> PruneCount:
        """Delete captures, and return how many were deleted and are left; raises StoreError."""
        from port_hook_cli.captures.store.deleting import delete_captures

        self._count_again()
        with sqlite_problems(self.path):
            return delete_captures(self._database.connection, rule)

    def shrink(self) -> bool:
        """Return the space of deleted captures to the file system. Raises StoreError.

        Return False if the file keeps its size, because another program uses it or the disk is full.
        """
        from port_hook_cli.captures.store.deleting import shrink

        with sqlite_problems(self.path):
            return shrink(self._database.connection)

    def has_received(self, headers: Headers, since_s: float) -> bool:
        """Return whether a request with the same signature arrived at `since_s` (epoch seconds) or later."""
        signature = headers.get(SIGNATURE_HEADER)
        return signature is not None and bool(self._rows(statements.RECEIVED, [since_s, text_column(signature)]))

    def mark_replay(self, request: Invocation) -> bool:
        """Mark what a listener has captured of a replay as one; return whether there is any. Raises StoreError.

        `request` is the replay that was sent. The listener cannot know that it is a replay.
        """
        if not self.has_received(request.headers, request.received_at):
            return False
        if request.replay_of is not None:
            signature = text_column(request.headers.get(SIGNATURE_HEADER))
            name, received = text_column(request.replay_of), [request.received_at, signature]
            oldest = self._rows(statements.OLDEST_RECEIVED, received)[0][0]
            self._database.commit([(statements.MARK_REPLAY, [name, *received]), (ADD_NAME, [name, oldest])])
        return True

    def recent_signatures(self, since_s: float) -> list[tuple[str, float]]:
        """Return signature header and time of each verified request captured at `since_s` or later, oldest first."""
        found = self._rows(statements.RECENT_SIGNATURES, [since_s])
        return [(text, at) for text, at in found if isinstance(text, str) and isinstance(at, float)]

    def record_session(self, forward_to: str | None) -> None:
        """Record where a new listener forwards to, in place of the previous listener; raises StoreError."""
        steps = [(statements.FORGET_SESSION, ()), (statements.RECORD_SESSION, [text_column(forward_to)])]
        with sqlite_problems(self.path):
            self._database.transact(steps)

    def last_target(self) -> str | None:
        """Return where the last listener with this store forwarded to; raises StoreError.

        None if it forwarded nothing. Any program may have written it, so check it before you send anything there.
        """
        rows = self._rows(statements.LAST_TARGET, [])
        return rows[0][0] if rows and isinstance(rows[0][0], str) else None

    def kafka_positions(self) -> dict[Partition, int]:
        """Return the offset of the next message of each partition that listeners watched; raises StoreError."""
        rows = self._rows(statements.KAFKA_POSITIONS, [])
        return {
            Partition(cluster, topic, number): offset
            for cluster, topic, number, offset in rows
            if isinstance(cluster, str) and isinstance(topic, str) and isinstance(number, int) and type(offset) is int
        }

    def keep_positions(self, positions: Mapping[Partition, int], *, patient: bool = True) -> None:
        """Record the offset of the next message of partitions, in one transaction; raises StoreError."""
        steps = [(statements.KEEP_POSITION, (*partition, offset)) for partition, offset in positions.items()]
        self._database.commit(steps, patient=patient)

    def saved_messages(self, limit: int = 10_000) -> Iterator[MessageOrigin]:
        """Yield the places in Kafka of the latest messages in the store; raises StoreError."""
        for (written,) in self._rows(statements.SAVED_MESSAGES, [limit]):
            with suppress(ValueError):  # damaged captures are reported when they are shown
                yield parse_origin(str(written))

    def last_number(self) -> int:
        """Return the number of the newest capture, 0 if there is none; raises StoreError."""
        return int(self._rows(statements.NEWEST, [])[0][0] or 0)

    def without_outcome(self, wanted: statements.StoreFilter, *, limit: int) -> tuple[int, ...]:
        """Return the numbers of the captures that match and have no outcome yet, oldest first; raises StoreError."""
        query = statements.search(replace(wanted, without_outcome=True), columns="seq", limit=limit, oldest=True)
        return tuple(int(number) for (number,) in self._rows(*query))

    def number_of_captures(self) -> int:
        """Return the number of captures; raises StoreError."""
        return int(self._rows(statements.EVER_AND_NOW, [])[0][1])

    def check_writable(self) -> None:
        """Raise StoreError if nothing can be written to the store. A store that is locked is not an error."""
        self._database.check_writable()

    def checkpoint(self) -> None:
        """Copy committed data from SQLite's log into the file, and restart the log if possible.

        Another thread can write at the same time.
        """
        self._database.checkpoint()

    @property
    def log_bytes(self) -> int:
        """How much of SQLite's log is in use after the latest commit, in bytes; 0 if that is unknown (Windows)."""
        return self._database.log_bytes

    def take_losses(self) -> list[str]:
        """Return sentences for the user about captures that were lost since the last call."""
        return self._database.take_losses()

    def close(self) -> None:
        """Drop what is over the limits if this store has added captures, and close the file."""
        self._database.close(self._tidy if self._has_added else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tidy(self, connection: sqlite3.Connection) -> bool:
        """Drop captures over the limits, otherwise add a name block. Return whether there is more to do."""
        if self._trimmer is None:
            from port_hook_cli.captures.store.trimming import Limits, Trimmer

            self._trimmer = Trimmer(Limits(self._max_captures, self._max_size))
        return self._trimmer.step(connection) or add_block(connection)

    def _count_again(self) -> None:
        if self._trimmer is not None:
            self._trimmer.forget()

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with sqlite_problems(self.path):
            return self._database.connection.execute(sql, values).fetchall()

    def _read(self, query: Statement, read: Callable[[Row], Read]) -> Iterator[Read]:
        with sqlite_problems(self.path):
            for row in self._database.connection.execute(*query):
                yield self._made(read, row)

    def _made(self, read: Callable[[Row], Read], row: Row) -> Read:
        try:
            return read(row)
        except ValueError as error:
            raise StoreError(f"A capture in {self.path} is damaged: {error}.", hint="Was it edited by hand?") from error

    def _number(self, name: str) -> int:
        """Return the number of the only capture that `name` means; raises StoreError."""
        wanted = text_column(name)
        found = self._rows(statements.BY_PREFIX, [len(name), wanted, wanted, missing.MOST_NAMED + 1])
        if not found:
            raise self._unknown(name)
        number, capture_id = found[0]
        if len(found) > 1 and capture_id != name:
            raise _error(missing.ambiguous(name, [str(capture_id) for _, capture_id in found]))
        return int(number)

    def _none_so_late(self, name: str, latest: Latest) -> StoreError:
        """Return the error for a name of `latest` if the store has too few captures of its kind."""
        count = sum(1 for _ in self._rows(*_count_of(latest)))
        captures = count or self.number_of_captures()
        return _error(missing.no_latest(str(self.path), name, latest, count=count, captures=captures))

    def _unknown(self, name: str) -> StoreError:
        ever, now = self._rows(statements.EVER_AND_NOW, [])[0]
        return _error(missing.no_such(str(self.path), name, ever=ever, now=now))


def _error(words: missing.MissingCapture) -> StoreError:
    return StoreError(words.message, hint=words.hint)


def _query_of(latest: Latest) -> Statement:
    return statements.search(statements.StoreFilter(originals=not latest.replays), limit=1, skip=latest.back)


def _count_of(latest: Latest) -> Statement:
    """Return the statement whose rows are the captures of this kind, at most one more than the name needs."""
    wanted = statements.StoreFilter(originals=not latest.replays)
    return statements.search(wanted, columns="1", limit=latest.back + 1)


def open_store(
    option: Path | None,
    cwd: Path,
    *,
    create: bool = False,
    show_only: bool = False,
    max_captures: int = 10_000,
    max_size: int = GIB,
    keep_secrets: bool = False,
) -> CaptureStore:
    """Open the store at `store_path(option, cwd)`.

    With `show_only` the captures are only displayed, so the store may belong to another user. What a user
    should know about the files is in the store's `warnings`.

    Raises StoreError when it is missing and `create` is not set, was written by a newer port-hook, is not a capture
    store, may have been planted by someone else, or cannot be opened.
    """
    access = Access.CREATE if create else Access.SHOW if show_only else Access.READ
    return CaptureStore(
        store_path(option, cwd),
        access=access,
        max_captures=max_captures,
        max_size=max_size,
        keep_secrets=keep_secrets,
    )
