"""One connection to a store's file that survives when other programs remove, replace, empty or truncate the file.

Before a commit, the database checks that the file and SQLite's files next to it are still the files that it opened.
After the commit, it checks that SQLite's log contains the commit. If commits are missing, it counts the lost captures.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from port_hook_cli.captures.database.conditions import Statement
from port_hook_cli.captures.database.files import Files, regrow
from port_hook_cli.captures.database.log import Gap, Log
from port_hook_cli.captures.database.opening import BUSY_TIMEOUT_S, Access, connect, result_code, store_problem
from port_hook_cli.errors import StoreError

# port-hook doesn't restart a smaller log, because a restart costs three syncs.
_SMALL_BYTES = 256 * 1024
# A commit by another program takes less than a millisecond, but its next commit may follow immediately.
_ATTEMPTS, _RETRY_S = 30, 0.001


LastStep = Callable[[sqlite3.Connection], object]
"""The last step of a transaction, after its statements."""

_LATEST = (
    "SELECT seq, CASE typeof(received_at) WHEN 'real' THEN received_at ELSE 0.0 END FROM captures "
    "ORDER BY seq DESC LIMIT 1"
)


class ResilientDatabase:
    """An open store's file. `connection` reads from it until the next commit, which may open the file again.

    `warnings` are messages for the user about the files. `losses` are the messages that `take_losses` returns next.
    """

    def __init__(self, path: Path, access: Access) -> None:
        self.path = path
        opened = connect(path, access)
        self.warnings = opened.warnings
        self.connection = opened.connection
        self._access = access
        self._name = str(path)
        self._files = Files.at(self._name)
        self._is_patient = True
        self._has_written = False  # whether this store has written to the open file
        self._log: Log | None = None  # None until the first write
        self._latest = 0  # the number of the latest capture, as of this store's latest commit
        self._latest_at = 0.0  # the time when this capture was received
        self._numbered: tuple[int, int] | None = None  # the file in which the latest capture has this number
        self._is_suspect = False  # the file may be damaged and was not yet checked
        self.losses: list[str] = []

    def commit(
        self,
        steps: Sequence[Statement],
        *,
        patient: bool = True,
        latest_at: float | None = None,
        last: LastStep | None = None,
    ) -> None:
        """Execute statements in one transaction, and check that their changes are saved. Raises StoreError.

        `latest_at` is the time when the latest added capture was received, or None if the statements don't add
        captures. If another program has locked the file, StoreLocked is raised after five seconds, or immediately
        without `patient`.
        """
        adds = latest_at is not None
        try:
            self._follow_the_path(patient=patient)
            self._has_written = True
            number = self.transact(steps, last=last)
            latest = number if adds else self._latest
            self._check_log(latest, added=adds)
        except sqlite3.Error as error:
            self._mend_after(error)
            raise store_problem(error, self.path) from error
        if latest_at is not None:
            self._latest, self._latest_at = latest, latest_at

    def transact(self, steps: Sequence[Statement], *, last: LastStep | None = None) -> int:
        """Execute statements in one transaction. Return the number of the latest row that this connection added, or 0.

        The files are not checked. Raises sqlite3.Error.
        """
        if len(steps) == 1 and last is None:
            return self.connection.execute(*steps[0]).lastrowid or 0  # a single statement is its own transaction
        added = 0
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            for step in steps:
                added = max(added, self.connection.execute(*step).lastrowid or 0)
            if last is not None:
                last(self.connection)
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.rollback()  # does nothing if SQLite has already rolled back because the disk was full
            raise
        return added

    def checkpoint(self) -> None:
        """Copy committed data from the log into the file, and restart the log. Ignores errors.

        The checkpoint uses its own connection, so that another thread can write at the same time.
        """
        address = f"{self.path.as_uri()}?mode=rw"
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(address, uri=True, timeout=0, isolation_level=None)) as connection,
        ):
            checkpoint(connection)

    @property
    def log_bytes(self) -> int:
        """The number of bytes in use in SQLite's log after the latest commit, or 0 if it is unknown (on Windows)."""
        return 0 if self._log is None else self._log.end

    def take_losses(self) -> list[str]:
        """Return messages for the user about captures lost since the last call."""
        losses = [*self.losses]
        self.losses.clear()
        return losses

    def close(self, last: Callable[[sqlite3.Connection], bool] | None = None) -> None:
        """Run the step `last` in transactions until it returns False, then close the file.

        The step is skipped if the log was truncated.
        """
        # This is best effort: the next listener deletes the rest, and a full disk must not prevent the exit.
        with suppress(sqlite3.Error, StoreError):
            found = Files.at(self._name)
            if found.is_same_as(self._files) and self._is_cut(found):
                self._wait_for_locks(patient=True)
                self._mend()
            elif last is not None:
                self._transact_until_done(last)
        self.connection.close()
        self._close_log()

    def _transact_until_done(self, last: Callable[[sqlite3.Connection], bool]) -> None:
        has_more = True

        def step(connection: sqlite3.Connection) -> None:
            nonlocal has_more
            has_more = last(connection)

        while has_more:
            self.transact([], last=step)

    def _follow_the_path(self, *, patient: bool) -> None:
        """Reopen the file when it, or one of SQLite's files next to it, was removed, replaced, emptied or truncated.

        SQLite would continue to use a removed file, and the system would kill a process that reads an emptied index
        (`-shm`). With `patient`, this check and later statements wait for locks. Raises StoreError if captures are lost
        because the log was truncated.
        """
        found = Files.at(self._name)
        if found.index_size < self._files.index_size:
            regrow(self.path)
        if not found.is_same_as(self._files):
            self._reopen()
        elif self._is_cut(found):
            self._wait_for_locks(patient=patient)  # a repair has to lock the file
            lost = self._mend()
            if lost and found.log_size:
                raise StoreError(lost, hint="port-hook can save requests again.")
        else:
            self._files = found
        if self._log is None:
            self._log = Log(self.path)
            self._read_latest()
        if patient is not self._is_patient:  # reopening the file changes the attribute
            self._wait_for_locks(patient=patient)

    def _is_cut(self, found: Files) -> bool:
        """Return whether the log of the same files is shorter than after this store's latest commit."""
        return (self._has_written and found.log_size == 0) or (self._log is not None and found.log_size < self._log.end)

    def _check_log(self, latest: int, *, added: bool) -> None:
        """Raise StoreError if a commit may be lost because the log doesn't contain it, or contains it behind a gap.

        `latest` is the number of the latest capture. `added` is whether the commit has added captures.
        """
        if self._log is None or self._log.follow(added=added):
            return
        try:
            self._wait_for_locks(patient=True)  # the commit succeeded, so it must not be repeated
            lost = self._mend()
        except sqlite3.Error as error:  # another program is writing
            self._files = Files()  # makes the next write open the store again
            raise StoreError(f"SQLite's log of {self.path} was truncated: {error}.") from error
        if lost or self._latest < latest:
            raise StoreError(
                lost or f"SQLite's log of {self.path} was truncated.", hint="port-hook can save requests again."
            )

    def _mend_after(self, error: sqlite3.Error) -> None:
        """Repair the log if it is the reason why SQLite could not read a page."""
        if result_code(error) in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT}:
            with suppress(sqlite3.Error, StoreError):
                self._mend()

    def _mend(self) -> str:
        """Repair a truncated log, and reopen the store. Return a message about lost captures, or "".

        Raises StoreError if the store cannot be used. The next write then tries again.
        """
        try:
            gap = Gap.NONE if self._log is None else self._log.repair(self.connection)
        except OSError as error:
            raise StoreError(f"SQLite's log of {self.path} was truncated, and cannot be repaired: {error}.") from error
        self._is_suspect = self._is_suspect or gap is Gap.WITHIN
        return self._reopen(gap)

    def _reopen(self, gap: Gap = Gap.NONE) -> str:
        """Open the store again. Return a message about captures lost with a truncated log, or ""."""
        self.connection.close()
        self._close_log()
        self._files = Files()
        self.connection = connect(self.path, self._access).connection
        if self._is_suspect:
            self._reject_damage()
        self._files = Files.at(self._name)
        self._has_written = False
        self._is_patient = True
        self._log = Log(self.path)
        known, known_at, numbered = self._latest, self._latest_at, self._numbered
        self._read_latest()
        # Numbers restart when `prune` has deleted all captures. In that case, the remaining captures are all later.
        is_shorter = gap is not Gap.NONE or (self._latest > 0 and self._latest_at <= known_at)
        count = max(0, known - self._latest) if is_shorter and self._numbered == numbered else 0
        if gap is Gap.NONE and not count:
            return ""
        what = f"{count} saved capture{'' if count == 1 else 's'}" if count else "the latest deliveries and responses"
        if gap is Gap.WITHIN:
            what = f"at least {what}"
        lost = (
            f"Another program has truncated SQLite's log of {self.path}: {what} {'is' if count == 1 else 'are'} lost."
        )
        self.losses.append(lost)
        return lost

    def _reject_damage(self) -> None:
        """Close the file and raise StoreError if SQLite finds damage in it."""
        try:
            faults = self.connection.execute("PRAGMA integrity_check(1)").fetchall()
        except sqlite3.Error as error:
            self.connection.close()
            raise store_problem(error, self.path) from error
        if faults != [("ok",)]:
            self.connection.close()
            raise StoreError(
                f"{self.path} is damaged because another program has truncated SQLite's log.",
                hint="Move it to another directory. port-hook then creates a new store.",
            )
        self._is_suspect = False

    def _read_latest(self) -> None:
        self._latest, self._latest_at = self.connection.execute(_LATEST).fetchone() or (0, 0.0)
        self._numbered = self._files.store_id

    def _wait_for_locks(self, *, patient: bool) -> None:
        self.connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000) if patient else 0}")
        self._is_patient = patient

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


def checkpoint(connection: sqlite3.Connection) -> None:
    """Copy the log into the database, and restart the log unless others are reading it. Raises sqlite3.Error.

    `connection` must not wait for locks. Other connections can write while most of the log is copied. They wait a few
    milliseconds while the rest is copied.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    is_being_read = copied < pages
    if is_being_read or pages * page_size <= _SMALL_BYTES:
        return
    for _ in range(_ATTEMPTS):
        # This locks other writers out, and copies what they have committed since the first copy.
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if not is_busy:
            _begin(connection)
            return
        time.sleep(_RETRY_S)


def _begin(connection: sqlite3.Connection) -> None:
    """Write the first commit of the restarted log. SQLite syncs this commit, so no request has to wait for the sync."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")  # the version stays the same
    connection.execute("COMMIT")
