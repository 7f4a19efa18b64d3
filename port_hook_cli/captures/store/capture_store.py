"""A store that is open for writing, such as by a listener, a replay or `prune`."""

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
from port_hook_cli.captures.store.name_blocks import ADD_NAME, add_block
from port_hook_cli.captures.store.reader import StoreReader
from port_hook_cli.captures.store.trimming import Limits, Trimmer
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import SIGNATURE_HEADER
from port_hook_cli.invocations.models import Capture, Invocation, MessageOrigin, Partition

if TYPE_CHECKING:
    from port_hook_cli.captures.store.deleting import PruneCount, PruneRule

# The limits are enforced after a twentieth of the limit, but at least and at most after these numbers of captures, or
# after this many bytes. That takes a millisecond or two. Fewer than one request in a hundred should wait for it.
_TIDY_SHARE, _TIDY_AT_LEAST, _TIDY_AT_MOST = 20, 64, 500
_TIDY_BYTES = 16 * 1024 * 1024
_RECEIVED_AT = CAPTURE_COLUMNS.index("received_at")

_GIB = 1024 * 1024 * 1024


class CaptureStore(StoreReader):
    """A store that is open for reading and writing. `open_store` returns one.

    One thread may open it and others use it, one at a time. Other stores, in this process or another, may have the same
    file open.
    """

    def __init__(self, path: Path, *, access: Access, limits: Limits, keep_secrets: bool) -> None:
        self._database = ResilientDatabase(path, access)
        super().__init__(path, self._database)
        self.losses: Sequence[str] = self._database.losses
        """What `take_losses` returns next."""
        self.tidies = True
        """Whether `write` enforces the limits. Otherwise, the caller calls `tidy` when the store `is_untidy`."""
        self.is_untidy = False
        """Whether so much was written that it is time to call `tidy`."""
        self._trimmer = Trimmer(limits)
        self._tidy_every = min(max(_TIDY_AT_LEAST, limits.captures // _TIDY_SHARE), _TIDY_AT_MOST)
        self._keep_secrets = keep_secrets
        self._rows_until_tidy = 0
        self._bytes_until_tidy = 0
        self._has_added = False

    def add(self, captures: Sequence[Capture]) -> None:
        """Save captures in one transaction. Raises StoreError, and then none of them is saved."""
        self.write([self.row(capture) for capture in captures], [])

    def complete(self, captures: Sequence[Capture]) -> None:
        """Add delivery and response to saved captures, in one transaction. Raises StoreError.

        Captures deleted meanwhile are ignored.
        """
        self.write([], [self.outcome(capture) for capture in captures])

    def row(self, capture: Capture) -> Row:
        """Return the row that `write` adds for a capture, with its credentials masked, unless the store saves them.

        Only the beginning of a rejected request's body is saved. A request is rejected if it fails verification and is
        not forwarded.
        """
        return capture_row(capture, keep_secrets=self._keep_secrets)

    def outcome(self, capture: Capture) -> Row:
        """Return what `write` adds to a saved capture."""
        return outcome_row(capture, keep_secrets=self._keep_secrets)

    def write(
        self, rows: Sequence[Row], outcomes: Sequence[Row], *, size: int | None = None, patient: bool = True
    ) -> None:
        """Commit rows and outcomes together. Raises StoreError, and then nothing is written.

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
            has_more = self._tidy(connection)

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
        """Mark a listener's captures of a replay as replays. Return whether it has any. Raises StoreError.

        `request` is the replay. The listener cannot know that it is a replay.
        """
        signature = request.headers.get(SIGNATURE_HEADER)
        if signature is None:
            return False
        received = [request.received_at, text_column(signature)]
        oldest = self._rows(statements.OLDEST_RECEIVED, received)[0][0]
        if oldest is not None and request.replay_of is not None:
            name = text_column(request.replay_of)
            self._database.commit([(statements.MARK_REPLAY, [name, *received]), (ADD_NAME, [name, oldest])])
        return oldest is not None

    def recent_signatures(self, since_s: float) -> list[tuple[str, float]]:
        """Return the signature and the time of each verified request captured at `since_s` or later, oldest first."""
        found = self._rows(statements.RECENT_SIGNATURES, [since_s])
        return [(text, at) for text, at in found if isinstance(text, str) and isinstance(at, float)]

    def record_session(self, forward_to: str | None) -> None:
        """Record where a new listener forwards to, in place of the previous listener. Raises StoreError."""
        steps = [(statements.FORGET_SESSION, ()), (statements.RECORD_SESSION, [text_column(forward_to)])]
        with sqlite_problems(self.path):
            self._database.transact(steps)

    def kafka_positions(self) -> dict[Partition, int]:
        """Return the offset of the next message of each partition that listeners watched. Raises StoreError."""
        rows = self._rows(statements.KAFKA_POSITIONS, [])
        return {
            Partition(cluster, topic, number): offset
            for cluster, topic, number, offset in rows
            if isinstance(cluster, str) and isinstance(topic, str) and isinstance(number, int) and type(offset) is int
        }

    def keep_positions(self, positions: Mapping[Partition, int], *, patient: bool = True) -> None:
        """Record the offset of the next message of partitions, in one transaction. Raises StoreError."""
        steps = [(statements.KEEP_POSITION, (*partition, offset)) for partition, offset in positions.items()]
        self._database.commit(steps, patient=patient)

    def saved_messages(self, limit: int = 10_000) -> Iterator[MessageOrigin]:
        """Yield the places in Kafka of the latest messages in the store. Raises StoreError."""
        for (written,) in self._rows(statements.SAVED_MESSAGES, [limit]):
            with suppress(ValueError):  # damaged captures are reported when they are shown
                yield parse_origin(str(written))

    def prunable(self, rule: PruneRule) -> PruneCount:
        """Return how many captures `prune` would delete and leave. Raises StoreError."""
        from port_hook_cli.captures.store.deleting import count_prunable

        with sqlite_problems(self.path):
            return count_prunable(self._database.connection, rule)

    def prune(self, rule: PruneRule) -> PruneCount:
        """Delete captures, and return how many were deleted and are left. Raises StoreError."""
        from port_hook_cli.captures.store.deleting import delete_captures

        self._trimmer.forget()
        with sqlite_problems(self.path):
            return delete_captures(self._database.connection, rule)

    def shrink(self) -> bool:
        """Return the space of deleted captures to the file system. Raises StoreError.

        Return False if the file keeps its size, because another program uses it or the disk is full.
        """
        from port_hook_cli.captures.store.deleting import shrink

        with sqlite_problems(self.path):
            return shrink(self._database.connection)

    def checkpoint(self) -> None:
        """Copy committed data from SQLite's log into the file, and restart the log if possible.

        Another thread can write at the same time.
        """
        self._database.checkpoint()

    @property
    def log_bytes(self) -> int:
        """How much of SQLite's log is in use after the latest commit, in bytes, or 0 if that is unknown (Windows)."""
        return self._database.log_bytes

    def take_losses(self) -> list[str]:
        """Return sentences for the user about captures lost since the last call."""
        return self._database.take_losses()

    def close(self) -> None:
        """Delete captures over the limits if this store has added captures, and close the file."""
        self._database.close(self._tidy if self._has_added else None)

    def _tidy(self, connection: sqlite3.Connection) -> bool:
        """Delete captures over the limits, otherwise add a name block. Return whether there is more to do."""
        return self._trimmer.step(connection) or add_block(connection)


def open_store(
    option: Path | None,
    cwd: Path,
    *,
    create: bool = False,
    max_captures: int = 10_000,
    max_size: int = _GIB,
    keep_secrets: bool = False,
) -> CaptureStore:
    """Open the store at `store_path(option, cwd)` to write to it.

    `tidy` limits it to `max_captures` captures and `max_size` bytes. Credentials in headers are masked unless
    `keep_secrets` is set. What a user should know about the files is in the store's `warnings`.

    Raises StoreError when the store is missing and `create` is not set, was written by a newer port-hook, is not a
    capture store, may have been planted by someone else, or cannot be opened.
    """
    return CaptureStore(
        store_path(option, cwd),
        access=Access.CREATE if create else Access.READ,
        limits=Limits(max_captures, max_size),
        keep_secrets=keep_secrets,
    )
