"""A store that is open for writing, for example for a listener, a replay or `prune`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.captures.database.opening import Access, sqlite_problems, store_path
from port_hook_cli.captures.database.resilient import ResilientDatabase
from port_hook_cli.captures.database.rows import (
    CAPTURE_COLUMNS,
    Row,
    capture_row,
    capture_weight,
    outcome_row,
    outcome_weight,
    parse_origin,
    text_column,
)
from port_hook_cli.captures.store import statements
from port_hook_cli.captures.store.reader import StoreReader
from port_hook_cli.captures.store.trimming import Limits, Trimmer
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import SIGNATURE_HEADER
from port_hook_cli.invocations.models import Capture, Invocation, MessageOrigin, Partition

if TYPE_CHECKING:
    from port_hook_cli.captures.store.deleting import PruneCount, PruneRule

# port-hook enforces the limits after a twentieth of the limit in new captures, but after at least and at most these
# numbers of captures, or earlier after this many bytes. That takes a millisecond or two, and fewer than one request in
# a hundred should wait for it.
_TIDY_SHARE, _TIDY_AT_LEAST, _TIDY_AT_MOST = 20, 64, 500
_TIDY_BYTES = 16 * 1024 * 1024
_RECEIVED_AT = CAPTURE_COLUMNS.index("received_at")

_GIB = 1024 * 1024 * 1024


class CaptureStore(StoreReader):
    """A store that is open for reading and writing, as `open_store` returns it.

    The thread that opens the store need not be the thread that uses it, but only one thread may use it at a time. Other
    stores, in this process or another, may have the same file open.
    """

    def __init__(self, path: Path, *, access: Access, limits: Limits, keep_secrets: bool) -> None:
        self._database = ResilientDatabase(path, access)
        super().__init__(path, self._database)
        self.losses: Sequence[str] = self._database.losses
        """The messages that `take_losses` returns next."""
        self.tidies = True
        """Whether `write` enforces the limits. Otherwise, the caller calls `tidy` when the store `is_untidy`."""
        self.is_untidy = False
        """Whether so much was written that the caller should call `tidy`."""
        self._trimmer = Trimmer(limits)
        self._tidy_every = min(max(_TIDY_AT_LEAST, limits.captures // _TIDY_SHARE), _TIDY_AT_MOST)
        self._keep_secrets = keep_secrets
        self._rows_until_tidy = 0
        self._bytes_until_tidy = 0
        self._has_added = False

    def add(self, captures: Sequence[Capture]) -> None:
        """Save captures in one transaction. If this raises StoreError, none of the captures is saved."""
        self.write([self.row(capture) for capture in captures], [])

    def complete(self, captures: Sequence[Capture]) -> None:
        """Add the delivery and the response to saved captures, in one transaction. Raises StoreError.

        Captures deleted in the meantime are ignored.
        """
        self.write([], [self.outcome(capture) for capture in captures])

    def row(self, capture: Capture) -> Row:
        """Return the row that `write` adds for a capture. The row's credentials are masked unless the store saves them.

        For a rejected request, only the beginning of the body is saved. A request is rejected if it fails verification
        and is not forwarded.
        """
        return capture_row(capture, keep_secrets=self._keep_secrets)

    def outcome(self, capture: Capture) -> Row:
        """Return the outcome that `write` adds to a saved capture."""
        return outcome_row(capture, keep_secrets=self._keep_secrets)

    def write(
        self, rows: Sequence[Row], outcomes: Sequence[Row], *, size: int | None = None, patient: bool = True
    ) -> None:
        """Commit rows and outcomes together. If this raises StoreError, nothing is written.

        `size` is the sum of their weights, if the caller knows it. If another program has locked the file, StoreLocked
        is raised after five seconds, or immediately without `patient`.
        """
        if not rows and not outcomes:
            return
        if size is None:
            size = sum(map(capture_weight, rows)) + sum(map(outcome_weight, outcomes))
        is_small = size <= statements.MOST_BYTES
        steps = statements.inserts(rows, small=is_small)
        if outcomes:
            steps += statements.updates(outcomes, small=is_small)
        self._database.commit(steps, patient=patient, latest_at=rows[-1][_RECEIVED_AT] if rows else None)
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
            has_more = self._trimmer.step(connection)

        try:
            self._database.commit([], patient=patient, last=step)
        except StoreError:
            self._trimmer.forget()
            has_more = False
        self.is_untidy = has_more
        if not has_more:
            self._rows_until_tidy, self._bytes_until_tidy = self._tidy_every, _TIDY_BYTES
        return has_more

    def mark_replay(self, request: Invocation) -> bool:
        """Mark a listener's captures of a replay as replays, and return whether there are any. Raises StoreError.

        `request` is the replay. The listener itself cannot know that a request is a replay.
        """
        signature = request.headers.get(SIGNATURE_HEADER)
        if signature is None:
            return False
        received = [request.received_at, text_column(signature)]
        is_received = bool(self._rows(statements.IS_RECEIVED, received))
        if is_received and request.replay_of is not None:
            self._database.commit([(statements.MARK_REPLAY, [text_column(request.replay_of), *received])])
        return is_received

    def recent_signatures(self, since_s: float) -> list[tuple[str, float, float]]:
        """Return the signature, time of receipt and signed time of each verified request since `since_s`, in order."""
        found = self._rows(statements.RECENT_SIGNATURES, [since_s])
        return [
            (text, at, signed_at)
            for text, at, signed_at in found
            if isinstance(text, str) and isinstance(at, float) and isinstance(signed_at, float)
        ]

    def record_session(self, forward_to: str | None) -> None:
        """Record the target of a new listener, in place of the previous listener's target. Raises StoreError."""
        steps = [(statements.FORGET_SESSION, ()), (statements.RECORD_SESSION, [text_column(forward_to)])]
        with sqlite_problems(self.path):
            self._database.transact(steps)

    def record_address(self, address: str, at: float, *, patient: bool = True) -> None:
        """Record a host and port at which Port reaches a listener of this store. Keeps the latest 100.

        Raises StoreError.
        """
        steps = [(statements.RECORD_ADDRESS, [text_column(address), at]), (statements.FORGET_ADDRESSES, ())]
        self._database.commit(steps, patient=patient)

    def kafka_positions(self) -> dict[Partition, int]:
        """Return the offset of the next message for each partition that listeners have watched. Raises StoreError."""
        rows = self._rows(statements.KAFKA_POSITIONS, [])
        return {
            Partition(cluster, topic, number): offset
            for cluster, topic, number, offset in rows
            if isinstance(cluster, str) and isinstance(topic, str) and isinstance(number, int) and type(offset) is int
        }

    def keep_positions(self, positions: Mapping[Partition, int], *, patient: bool = True) -> None:
        """Record the offset of the next message for each of the partitions, in one transaction. Raises StoreError."""
        steps = [(statements.KEEP_POSITION, (*partition, offset)) for partition, offset in positions.items()]
        self._database.commit(steps, patient=patient)

    def saved_messages(self, limit: int = 10_000) -> Iterator[MessageOrigin]:
        """Yield the topic, partition and offset of the latest messages in the store. Raises StoreError."""
        for (written,) in self._rows(statements.SAVED_MESSAGES, [limit]):
            with suppress(ValueError):  # damaged captures are reported when they are shown
                yield parse_origin(str(written))

    def prunable(self, rule: PruneRule) -> PruneCount:
        """Return how many captures `prune` would delete, and how many it would leave. Raises StoreError."""
        from port_hook_cli.captures.store.deleting import count_prunable

        with sqlite_problems(self.path):
            return count_prunable(self._database.connection, rule)

    def prune(self, rule: PruneRule) -> PruneCount:
        """Delete captures, and return how many were deleted and how many are left. Raises StoreError."""
        from port_hook_cli.captures.store.deleting import delete_captures

        self._trimmer.forget()
        with sqlite_problems(self.path):
            return delete_captures(self._database.connection, rule)

    def shrink(self) -> bool:
        """Return the space of deleted captures to the file system. Raises StoreError.

        Returns False if the file keeps its size because another program uses the store or the disk is full.
        """
        from port_hook_cli.captures.store.deleting import shrink

        with sqlite_problems(self.path):
            return shrink(self._database.connection)

    def checkpoint(self) -> None:
        """Copy committed data from SQLite's log into the file, and restart the log if possible.

        Another thread can write to the store at the same time.
        """
        self._database.checkpoint()

    @property
    def log_bytes(self) -> int:
        """The number of bytes in use in SQLite's log after the latest commit, or 0 if it is unknown (on Windows)."""
        return self._database.log_bytes

    def take_losses(self) -> list[str]:
        """Return messages for the user about captures lost since the last call."""
        return self._database.take_losses()

    def close(self) -> None:
        """Close the file. If this store has added captures, first delete the captures over the limits."""
        self._database.close(self._trimmer.step if self._has_added else None)


def open_store(
    option: Path | None,
    cwd: Path,
    *,
    create: bool = False,
    max_captures: int = 10_000,
    max_size: int = _GIB,
    keep_secrets: bool = False,
) -> CaptureStore:
    """Open the store at `store_path(option, cwd)` for writing.

    `tidy` limits the store to `max_captures` captures and `max_size` bytes. Credentials in headers are masked unless
    `keep_secrets` is set. The store's `warnings` are messages for the user about its files.

    Raises StoreError if the store is missing and `create` is not set, if a newer port-hook has written it, if the file
    is not a capture store, if someone else may have planted it, or if it cannot be opened.
    """
    return CaptureStore(
        store_path(option, cwd),
        access=Access.CREATE if create else Access.READ,
        limits=Limits(max_captures, max_size),
        keep_secrets=keep_secrets,
    )
