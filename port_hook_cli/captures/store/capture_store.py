"""The store, as commands read it and listeners write it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from port_hook_cli.captures.database.files import Files, regrow
from port_hook_cli.captures.database.log import Gap, Log
from port_hook_cli.captures.database.opening import (
    BUSY_TIMEOUT_S,
    Access,
    StoreLocked,
    connect,
    sqlite_problems,
    store_path,
    store_problem,
)
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
from port_hook_cli.captures.documents.exchange_fields import LAST
from port_hook_cli.captures.store import statements
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import SIGNATURE_HEADER, Exchange, Headers, MessageOrigin, Partition
from port_hook_cli.invocations.payload import is_run_id

if TYPE_CHECKING:
    from port_hook_cli.captures.store.deleting import PruneCount, PruneRule

# The limits are enforced after this many captures or a twentieth of the limit, whichever is more, or this many bytes.
# That takes half a millisecond. Fewer than one request in a hundred should wait for it.
_TRIM_EVERY, _TRIM_SHARE = 64, 20
_TRIM_EVERY_BYTES = 16 * 1024 * 1024
_NAMED = 5
_RECEIVED_AT = CAPTURE_COLUMNS.index("received_at")

GIB = 1024 * 1024 * 1024

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
        self._access = access
        self._max_captures = max_captures
        self._trim_every = max(_TRIM_EVERY, max_captures // _TRIM_SHARE)
        self._max_size = max_size
        self._keep_secrets = keep_secrets
        opened = connect(path, access)
        self.warnings = opened.warnings
        self._connection = opened.connection
        self._files = Files.at(path)
        self._is_patient = True
        self._rows_until_trim = 0
        self._bytes_until_trim = 0
        self._has_added = False
        self._has_written = False  # since the file was opened
        self._log: Log | None = None  # of a file that was written
        self._newest = 0  # the number of the newest capture, after the latest commit of this store
        self._newest_at = 0.0  # and when it was received
        self._numbered: tuple[int, int] | None = None  # the file that has this number
        self._is_suspect = False  # the file may be damaged, and was not checked yet
        self._losses: list[str] = []

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
        steps = [*statements.inserts(rows, small=is_small), *statements.updates(outcomes, small=is_small)]
        is_full = self._is_trim_due(len(rows), size)
        try:
            self._follow_the_path(patient=patient)
            self._has_written = True
            newest = self._transact(steps, trimming=is_full) or self._newest
            self._check_log(newest, added=bool(rows))
        except sqlite3.Error as error:
            self._mend_after(error)
            raise store_problem(error, self.path) from error
        self._newest = newest
        if rows:
            self._newest_at = rows[-1][_RECEIVED_AT]
        if is_full:
            self._rows_until_trim, self._bytes_until_trim = self._trim_every, _TRIM_EVERY_BYTES
        self._has_added = self._has_added or bool(rows)

    def get(self, name: str) -> Exchange:
        """Return one capture by id, by a prefix that only one id has, or the newest as `last`; raises StoreError."""
        found = self.newest() if name == LAST else next(self._read((statements.BY_NUMBER, [self._number(name)])), None)
        if found is None:
            raise self._empty()
        return found

    def newest(self, *, run_id: str | None = None, with_run: bool = False, originals: bool = False) -> Exchange | None:
        """Return the newest capture, if there is one; raises StoreError. `StoreFilter` describes the parameters."""
        wanted = statements.StoreFilter(run_id=run_id, with_run=with_run, originals=originals)
        return next(self.select(wanted, limit=1), None)

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
        if bodies is None:
            return self._read(statements.search(wanted, limit=limit, oldest=oldest))
        return islice(self._read_kept(wanted, bodies, oldest=oldest), limit)

    def _read_kept(self, wanted: statements.StoreFilter, bodies: BodyFilter, *, oldest: bool) -> Iterator[Exchange]:
        sql, values = statements.search(wanted, columns=statements.NUMBER_AND_BODY, oldest=oldest)
        with sqlite_problems(self.path):
            for number in bodies(self._connection.execute(sql, values)):
                yield from self._read((statements.BY_NUMBER, [number]))

    def replayed(self) -> dict[str, int | None]:
        """Return the response's status of the latest replay of each capture by the capture's id; raises StoreError."""
        rows = self._rows(statements.OUTCOMES_OF_REPLAYS, [])
        return {name: status for name, status in rows if isinstance(name, str)}

    def prunable(self, rule: PruneRule) -> PruneCount:
        """Return how many captures `prune` would delete and leave; raises StoreError."""
        from port_hook_cli.captures.store.deleting import count_prunable

        with sqlite_problems(self.path):
            return count_prunable(self._connection, rule)

    def prune(self, rule: PruneRule) -> PruneCount:
        """Delete captures, and return how many were deleted and are left; raises StoreError."""
        from port_hook_cli.captures.store.deleting import delete_captures

        with sqlite_problems(self.path):
            return delete_captures(self._connection, rule)

    def has_received(self, headers: Headers, since_s: float) -> bool:
        """Return whether a request with the same signature arrived at `since_s` (epoch seconds) or later."""
        signature = headers.get(SIGNATURE_HEADER)
        return signature is not None and bool(self._rows(statements.RECEIVED, [since_s, text_column(signature)]))

    def recent_signatures(self, since_s: float) -> list[tuple[str, float]]:
        """Return signature header and time of each verified request captured at `since_s` or later, oldest first."""
        found = self._rows(statements.RECENT_SIGNATURES, [since_s])
        return [(text, at) for text, at in found if isinstance(text, str) and isinstance(at, float)]

    def record_session(self, forward_to: str | None) -> None:
        """Record where a new listener forwards to, in place of the previous listener; raises StoreError."""
        steps = [(statements.FORGET_SESSION, ()), (statements.RECORD_SESSION, [text_column(forward_to)])]
        with sqlite_problems(self.path):
            self._transact(steps, trimming=False)

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
        try:
            self._follow_the_path(patient=patient)
            self._transact(steps, trimming=False)
            self._check_log(self._newest, added=False)
        except sqlite3.Error as error:
            self._mend_after(error)
            raise store_problem(error, self.path) from error

    def saved_messages(self, limit: int = 10_000) -> Iterator[MessageOrigin]:
        """Yield the places in Kafka of the latest messages in the store; raises StoreError."""
        for (written,) in self._rows(statements.SAVED_MESSAGES, [limit]):
            with suppress(ValueError):  # damaged captures are reported when they are shown
                yield parse_origin(str(written))

    def number_of_captures(self) -> int:
        """Return the number of captures; raises StoreError."""
        return int(self._rows(statements.EVER_AND_NOW, [])[0][1])

    def check_writable(self) -> None:
        """Raise StoreError if nothing can be written to the store, without writing anything.

        A store that another program is writing to is not an error.
        """
        try:
            self._wait_for_locks(patient=False)
            self._connection.execute("BEGIN IMMEDIATE")
            # BEGIN succeeds even if the file is read-only. The first statement that writes fails.
            self._connection.execute("DELETE FROM captures WHERE FALSE")
        except sqlite3.Error as error:
            problem = store_problem(error, self.path)
            if not isinstance(problem, StoreLocked):
                raise problem from error
        finally:
            self._connection.rollback()

    def checkpoint(self) -> None:
        """Copy committed data from the log into the file; best effort.

        It uses its own connection, so that another thread can write at the same time.
        """
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True)) as beside:
            beside.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def take_losses(self) -> list[str]:
        """Return sentences for the user about captures that were lost since the last call."""
        losses, self._losses = self._losses, []
        return losses

    def close(self) -> None:
        """Drop what this store added over the limit, and close the file."""
        # Best effort: the next listener drops the rest, and a full disk must not prevent the exit.
        with suppress(sqlite3.Error, StoreError):
            if self._is_cut(Files.at(self.path)):
                self._wait_for_locks(patient=True)
                self._mend()
            elif self._has_added:
                self._transact([], trimming=True)
        self._connection.close()
        self._close_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _transact(self, steps: Sequence[statements.Statement], *, trimming: bool) -> int:
        """Execute statements in one transaction. Return the number of the latest row that they added, or 0."""
        if len(steps) == 1 and not trimming:
            return self._connection.execute(*steps[0]).lastrowid or 0  # its own transaction
        added = 0
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for step in steps:
                added = max(added, self._connection.execute(*step).lastrowid or 0)
            if trimming:
                self._trim()
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()  # does nothing if SQLite has rolled back already, because the disk was full
            raise
        return added

    def _trim(self) -> None:
        from port_hook_cli.captures.store.deleting import Limits, trim  # readers do not need it

        trim(self._connection, Limits(self._max_captures, self._max_size))

    def _wait_for_locks(self, *, patient: bool) -> None:
        if patient is not self._is_patient:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000) if patient else 0}")
            self._is_patient = patient

    def _is_trim_due(self, count: int, size: int) -> bool:
        """Count what is about to be written; return whether it is time to enforce the limits."""
        self._rows_until_trim -= count
        self._bytes_until_trim -= size
        return self._rows_until_trim < 0 or self._bytes_until_trim < 0

    def _follow_the_path(self, *, patient: bool) -> None:
        """Reopen the file when it, or one of SQLite's files beside it, was removed, replaced, emptied or cut.

        SQLite would continue to use a removed file, and the system would kill the process for reading
        an index (`-shm`) that was emptied. With `patient`, this and later statements wait for locks. Raises
        StoreError if captures are lost because the log was cut.
        """
        found = Files.at(self.path)
        if found.index_size < self._files.index_size:
            regrow(self.path)
        if not found.is_same_as(self._files):
            self._reopen()
        elif self._is_cut(found):
            self._wait_for_locks(patient=patient)  # a repair has to lock the file
            lost = self._mend()
            if lost and found.log_size:
                raise StoreError(lost, hint="Later requests are saved again.")
        else:
            self._files = found
        if self._log is None:
            self._log = Log(self.path)
            self._read_newest()
        self._wait_for_locks(patient=patient)  # if it was opened again

    def _is_cut(self, found: Files) -> bool:
        """Return whether the log is shorter than it was after the latest commit of this store."""
        if not found.is_same_as(self._files):
            return False
        return (self._has_written and found.log_size == 0) or (self._log is not None and found.log_size < self._log.end)

    def _check_log(self, newest: int, *, added: bool) -> None:
        """Raise StoreError if a commit is not in the log, or behind a gap, so that it may be lost.

        `newest` is the number of the newest capture, and `added` whether the commit has added captures.
        """
        if self._log is None or self._log.follow(added=added):
            return
        try:
            self._wait_for_locks(patient=True)  # it is committed, so it must not be written again
            lost = self._mend()
        except sqlite3.Error as error:  # another program is writing
            self._files = Files()  # so the next write opens the store again
            raise StoreError(f"SQLite's log of {self.path} was cut: {error}.") from error
        if lost or self._newest < newest:
            raise StoreError(lost or f"SQLite's log of {self.path} was cut.", hint="Later requests are saved again.")

    def _mend_after(self, error: sqlite3.Error) -> None:
        """Repair the log, if it is the reason why SQLite could not read a page."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT}:
            with suppress(sqlite3.Error, StoreError):
                self._mend()

    def _read_newest(self) -> None:
        self._newest, self._newest_at = self._connection.execute(statements.NEWEST).fetchone() or (0, 0.0)
        self._numbered = self._files.store_id

    def _mend(self) -> str:
        """Repair a log that has become shorter, and reopen the store. Return a sentence about what was lost, or "".

        Raises StoreError if the store cannot be used. The next write tries again then.
        """
        try:
            gap = Gap.NONE if self._log is None else self._log.repair(self._connection)
        except OSError as error:
            raise StoreError(f"SQLite's log of {self.path} was cut, and cannot be repaired: {error}.") from error
        self._is_suspect = self._is_suspect or gap is Gap.WITHIN
        return self._reopen(gap)

    def _reopen(self, gap: Gap = Gap.NONE) -> str:
        """Open the store again. Return a sentence about what was lost because its log was cut, or ""."""
        self._connection.close()
        self._close_log()
        self._files = Files()
        self._connection = connect(self.path, self._access).connection
        if self._is_suspect:
            self._refuse_damage()
        self._files = Files.at(self.path)
        self._has_written = False
        self._is_patient = True
        self._log = Log(self.path)
        known, known_at, numbered = self._newest, self._newest_at, self._numbered
        self._read_newest()
        # The numbers begin anew when `prune` has deleted all captures. Then only later captures can be left.
        is_shorter = gap is not Gap.NONE or (self._newest > 0 and self._newest_at <= known_at)
        count = max(0, known - self._newest) if is_shorter and self._numbered == numbered else 0
        if gap is Gap.NONE and not count:
            return ""
        what = f"{count} saved capture{'' if count == 1 else 's'}" if count else "the latest deliveries and responses"
        if gap is Gap.WITHIN:
            what = f"at least {what}"
        lost = f"Another program has cut SQLite's log of {self.path}: {what} {'is' if count == 1 else 'are'} lost."
        self._losses.append(lost)
        return lost

    def _refuse_damage(self) -> None:
        """Close the file and raise StoreError if SQLite finds that it is damaged."""
        try:
            faults = self._rows("PRAGMA integrity_check(1)", [])
        except StoreError:
            self._connection.close()
            raise
        if faults != [("ok",)]:
            self._connection.close()
            raise StoreError(
                f"{self.path} is damaged because another program has cut SQLite's log.",
                hint="Move it away. port-hook then creates a new store.",
            )
        self._is_suspect = False

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with sqlite_problems(self.path):
            return self._connection.execute(sql, values).fetchall()

    def _read(self, query: statements.Statement) -> Iterator[Exchange]:
        try:
            with sqlite_problems(self.path):
                for row in self._connection.execute(*query):
                    yield read_row(row)
        except ValueError as error:
            raise StoreError(f"A capture in {self.path} is damaged: {error}.", hint="Was it edited by hand?") from error

    def _number(self, name: str) -> int:
        """Return the number of the only capture that `name` means; raises StoreError."""
        wanted = text_column(name)
        found = self._rows(statements.BY_PREFIX, [len(name), wanted, wanted, _NAMED + 1])
        if not found:
            raise self._unknown(name)
        number, capture_id = found[0]
        if len(found) > 1 and capture_id != name:
            raise _ambiguous(name, [str(capture_id) for _, capture_id in found])
        return int(number)

    def _empty(self) -> StoreError:
        return StoreError(f"{self.path} has no captures yet.", hint="Start `port-hook listen` and let Port invoke it.")

    def _unknown(self, name: str) -> StoreError:
        ever, now = self._rows(statements.EVER_AND_NOW, [])[0]
        if not now:
            return self._empty()
        if is_run_id(name):
            return StoreError(
                f"{name} is the id of a run, not of a capture.",
                hint=f"`port-hook captures --run {name}` lists its captures.",
            )
        dropped = (
            f"; {ever - now} older captures were dropped (--max-captures, --max-store, prune)" if ever > now else ""
        )
        return StoreError(
            f"No capture in {self.path} has an id that starts with '{name}'{dropped}.",
            hint="Run `port-hook captures` to list them.",
        )


def _ambiguous(name: str, ids: Sequence[str]) -> StoreError:
    more = ", …" if len(ids) > _NAMED else ""
    return StoreError(
        f"'{name}' is the start of several captures: {', '.join(ids[:_NAMED])}{more}.", hint="Type more of the id."
    )


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
