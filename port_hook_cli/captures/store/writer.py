"""Save captures for a listener. Captures that arrive at the same time share one commit.

A single request is committed in the next turn of the event loop. Several requests wait one more turn, so that others
can join. With 32 connections, this reduces the number of commits by a third. A commit costs a quarter of what a request
costs, even if it contains few captures.

The commit runs on the event loop: it takes a tenth of a millisecond, which is less than waking up a thread. A thread
does what takes longer: it writes large bodies, and it writes to a file that another program has locked. While the
thread has something to write, everything goes through it, so that the order doesn't change. The thread also copies
committed data from SQLite's log into the file, which would occasionally block the loop for ten milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from port_hook_cli.captures.database.opening import StoreLocked
from port_hook_cli.captures.database.rows import Row, capture_weight, outcome_weight
from port_hook_cli.captures.store.capture_store import CaptureStore
from port_hook_cli.errors import StoreError
from port_hook_cli.heap import return_freed_memory
from port_hook_cli.invocations.models import Capture, Partition

# Captures with this many bytes of bodies do not wait for others.
_JOINING_BYTES = 64 * 1024
# An outcome waits this long to share a commit with other outcomes. This many outcomes together join the next commit of
# captures. A single outcome would make that commit take half as long again, and a response waits for the commit.
_OUTCOME_DELAY_S = 0.05
_OUTCOMES_TOGETHER = 8
_POSITION_DELAY_S = 0.1
# A listener ends even if a file stays locked: the captures that wait for the file were not acknowledged.
_CLOSE_S = 3.0
# A commit of up to this many bytes of bodies is quick on any disk.
_QUICK_BYTES = 256 * 1024
# After this time, requests with large bodies have their responses, and their bodies are no longer in use.
_TIDY_AFTER_S = 1.0
# Waiting rows are committed in parts of this size, because each part goes to SQLite's log before it goes to the file.
_MOST_BYTES = 16 * 1024 * 1024
# A step that enforces the limits takes a few milliseconds, and a large store needs several steps.
_TIDY_PAUSE_S = 0.05
# The thread makes a checkpoint when SQLite's log has this many bytes, long before SQLite would make a checkpoint inside
# a commit (see `opening`).
_CHECKPOINT_BYTES = 8 * 1024 * 1024
# If the log could not restart at that point, the thread tries again after this many more bytes.
_RETRY_BYTES = 2 * 1024 * 1024
# An estimate for systems where the log's size is unknown (Windows): besides its content, a commit writes about three
# whole pages.
_COMMIT_BYTES = 12 * 1024
# If nothing was saved for this long, the next request will probably not arrive in the next few milliseconds.
_PAUSE_S = 0.2


class _Checkpoint:
    """An item in the queue that asks the thread for a checkpoint."""


class _Batch:
    """The content of one commit: captures with the futures that wait for them, and outcomes.

    The captures become rows only when they are committed. By then, the requests are forwarded and their handlers run.
    """

    __slots__ = (
        "addresses",
        "captures",
        "count",
        "has_waited",
        "outcome_size",
        "outcomes",
        "positions",
        "size",
        "waiting",
    )

    def __init__(self) -> None:
        self.captures: list[Capture] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.outcomes: list[Row] = []
        self.positions: dict[Partition, int] = {}
        self.addresses: dict[str, float] = {}
        self.size = 0  # the approximate number of bytes in bodies and outcomes
        self.outcome_size = 0
        self.has_waited = False  # whether the batch has waited one turn of the loop for more captures
        self.count = 1  # the number of batches in this batch

    def add(self, later: _Batch) -> None:
        """Add the content of a later batch."""
        self.captures += later.captures
        self.waiting += later.waiting
        self.outcomes += later.outcomes
        self.positions.update(later.positions)
        self.addresses.update(later.addresses)
        self.size += later.size
        self.outcome_size += later.outcome_size
        self.count += later.count


class StoreWriter:
    """Saves captures to `store` for callers on `loop`. The writer owns the store and closes it.

    `problem` is the latest failure, and `failures` is the number of lost captures and outcomes. `warn` is called with a
    message when saved captures are lost because another program has changed the files.
    """

    def __init__(
        self, store: CaptureStore, loop: asyncio.AbstractEventLoop, warn: Callable[[str], object] = lambda _: None
    ) -> None:
        self.problem: StoreError | None = None
        self.failures = 0
        self._store = store
        store.tidies = False
        self._loop = loop
        self._warn = warn
        self._batch = _Batch()
        self._outcomes: list[Row] = []
        self._positions: dict[Partition, int] = {}
        self._keeping: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Handle | None = None
        self._closed = False
        self._ended: asyncio.Future[None] = loop.create_future()
        self._queue: SimpleQueue[_Batch | _Checkpoint | None] = SimpleQueue()
        self._log_bytes = 0  # the size after the latest commit by the loop
        self._checkpoint_from = 0  # the log's size when a checkpoint was requested, or 0 after the log restarted
        self._commits = 0  # the number of commits by the loop
        # Only the thread uses these attributes. Both are monotonic times.
        self._tidy_at: float | None = None
        self._look_at: float | None = None  # the time to check for a pause
        self._commits_before = 0  # the number of commits at the last check
        self._in_thread = 0  # batches that the thread has yet to commit. Until then, only the thread uses the store
        self._thread = Thread(target=self._run, name="port-hook-store", daemon=True)
        self._thread.start()

    def save(self, capture: Capture) -> asyncio.Future[None]:
        """Begin to save `capture`. The returned future is done when the capture is committed, and may raise StoreError.

        The caller must await the future, now or later. Only the beginning of a rejected request's large body is saved.
        """
        return self.save_together((capture,))

    def save_together(self, captures: Sequence[Capture]) -> asyncio.Future[None]:
        """Begin to save several captures in one commit. Returns the same kind of future as `save`."""
        saved: asyncio.Future[None] = self._loop.create_future()
        if self._closed:
            saved.set_exception(StoreError("The capture store has been closed."))
            return saved
        batch = self._batch
        batch.captures += captures
        batch.size += sum([len(capture.invocation.body) for capture in captures])
        batch.waiting.append(saved)
        if self._soon is None:
            self._soon = self._loop.call_soon(self._turn_over_captures)
        return saved

    def complete(self, capture: Capture) -> None:
        """Save the delivery and the response of a capture within 50 ms. `problem` contains the latest failure."""
        if self._closed:
            return
        self._outcomes.append(self._store.outcome(capture))
        if self._later is None:
            self._later = self._loop.call_later(_OUTCOME_DELAY_S, self._turn_over)

    async def flush(self) -> None:
        """Commit everything passed to `save` and `complete`, within a few seconds. `problem` has the latest failure."""
        if self._closed:
            return
        committed: asyncio.Future[None] = self._loop.create_future()
        self._batch.waiting.append(committed)
        self._turn_over()
        await asyncio.wait({committed}, timeout=_CLOSE_S)
        if committed.done():
            committed.exception()  # `problem` contains the error

    def keep_position(self, partition: Partition, next_offset: int) -> None:
        """Record the next offset of a Kafka partition within 100 ms. `problem` contains the latest failure.

        Call this after the messages before `next_offset` are saved, so that the recorded offset is never ahead of the
        captures.
        """
        if self._closed:
            return
        self._positions[partition] = next_offset
        if self._keeping is None:
            self._keeping = self._loop.call_later(_POSITION_DELAY_S, self._turn_over_positions)

    def record_address(self, address: str, at: float) -> None:
        """Record an address like `CaptureStore.record_address`. `problem` contains the latest failure."""
        batch = _Batch()
        batch.addresses[address] = at
        if not self._closed:
            self._commit_or_queue(batch)

    async def close(self) -> None:
        """Write all waiting captures, then close the store."""
        if not self._closed:
            self._closed = True
            self._turn_over()
            self._turn_over_positions()
            self._queue.put(None)
        await asyncio.wait({self._ended}, timeout=_CLOSE_S)
        if self._ended.done():
            self._thread.join()

    def _turn_over_captures(self) -> None:
        """Commit the waiting captures, now or in the next turn. Outcomes join the commit if there are several."""
        batch = self._batch
        if len(batch.captures) > 1 and batch.size < _JOINING_BYTES and not batch.has_waited:
            batch.has_waited = True
            self._soon = self._loop.call_soon(self._turn_over_captures)
        elif len(self._outcomes) >= _OUTCOMES_TOGETHER:
            self._turn_over()
        else:
            self._soon, self._batch = None, _Batch()
            self._commit_or_queue(batch)

    def _turn_over(self) -> None:
        """Commit all waiting captures and outcomes."""
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        self._soon = self._later = None
        batch, outcomes = self._batch, self._outcomes
        batch.outcomes, self._outcomes = outcomes, []
        batch.outcome_size = sum(map(outcome_weight, outcomes))
        batch.size += batch.outcome_size
        self._batch = _Batch()
        self._commit_or_queue(batch)

    def _commit_or_queue(self, batch: _Batch) -> None:
        """Commit a batch on the loop, or queue it for the thread."""
        if self._in_thread or batch.size > _QUICK_BYTES or not self._commit(batch, patient=False):
            self._in_thread += 1
            self._queue.put(batch)

    def _turn_over_positions(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        if not self._positions:
            return
        batch = _Batch()
        batch.positions, self._positions = self._positions, {}
        self._commit_or_queue(batch)

    def _run(self) -> None:
        while self._work():
            pass
        self._store.close()
        self._tell_losses()
        self._tell(self._ended.set_result, None)

    def _work(self) -> bool:
        """Process the queue. Return False when the queue has ended. Written batches are no longer referenced then."""
        handed = [self._next()]
        while self._queue.qsize():  # only this thread takes from the queue
            handed.append(self._queue.get())
        batches = [batch for batch in handed if isinstance(batch, _Batch)]
        size = 0
        for batch in _merged(batches):
            if self._store.is_untidy:
                self._store.tidy()
            size += batch.size
            self._commit(batch, patient=True)
        if self._tidy_at is None and size > _QUICK_BYTES:
            self._tidy_at = monotonic() + _TIDY_AFTER_S
        is_open = handed[-1] is not None
        if is_open and len(batches) < len(handed):
            self._store.checkpoint()
            self._look_at = monotonic() + _PAUSE_S
        return is_open

    def _next(self) -> _Batch | _Checkpoint | None:
        """Wait for the next item of the queue. While waiting, do other work that is due."""
        while times := [at for at in (self._tidy_at, self._look_at) if at is not None]:
            with suppress(Empty):
                return self._queue.get(timeout=max(0.0, min(times) - monotonic()))
            self._do_what_is_due(monotonic())
        return self._queue.get()

    def _do_what_is_due(self, now: float) -> None:
        """Do the work that is due at `now`: return freed memory to the system, and make a checkpoint in a pause."""
        if self._tidy_at is not None and self._tidy_at <= now:
            self._tidy_at = None
            return_freed_memory()
        if self._look_at is None or self._look_at > now:
            return
        is_pause, self._commits_before = self._commits == self._commits_before, self._commits
        self._look_at = None if is_pause else now + _PAUSE_S
        if is_pause:
            self._store.checkpoint()

    def _commit(self, batch: _Batch, *, patient: bool) -> bool:
        """Write a batch and settle its futures.

        Without `patient`, returns False if the file is locked, or if writing would take long.
        """
        problem: StoreError | None = None
        size = batch.size
        try:
            rows = [self._store.row(capture) for capture in batch.captures]
            size = sum(map(capture_weight, rows)) + batch.outcome_size
            if size > _QUICK_BYTES and not patient:  # the headers are long
                return False
            self._store.write(rows, batch.outcomes, size=size, patient=patient)
            if batch.positions or batch.addresses:
                self._write_records(batch, patient=patient)
        except StoreLocked as error:
            if not patient:
                return False
            problem = error
        except StoreError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - the requests that wait for this commit would otherwise wait forever
            problem = StoreError(f"The capture store failed: {error}.")
        self._tell_losses()
        if patient:
            self._tell(self._settle_thread, batch, problem)
        else:
            self._settle(batch, problem)
            self._ask_for_upkeep(size)
        return True

    def _write_records(self, batch: _Batch, *, patient: bool) -> None:
        """Write a batch's content other than captures."""
        if batch.positions:
            self._store.keep_positions(batch.positions, patient=patient)
        for address, at in batch.addresses.items():
            self._store.record_address(address, at, patient=patient)

    def _tidy(self) -> None:
        """Enforce the limits between requests, in small steps. If the thread has work, the thread enforces them."""
        self._tidying = None
        if not self._in_thread and not self._closed and self._store.tidy(patient=False):
            self._tidying = self._loop.call_later(_TIDY_PAUSE_S, self._tidy)

    def _tell_losses(self) -> None:
        if self._store.losses:
            for loss in self._store.take_losses():
                self._tell(self._warn, loss)

    def _ask_for_upkeep(self, size: int) -> None:
        """Count a commit of `size` bytes, and request a checkpoint or tidying when it is due."""
        if self._store.is_untidy and self._tidying is None:
            self._tidying = self._loop.call_soon(self._tidy)  # the requests that wait for the commit come first
        self._commits += 1
        self._log_bytes = self._store.log_bytes or self._log_bytes + size + _COMMIT_BYTES
        if self._log_bytes < self._checkpoint_from:
            self._checkpoint_from = 0
        if self._log_bytes >= (self._checkpoint_from + _RETRY_BYTES if self._checkpoint_from else _CHECKPOINT_BYTES):
            self._checkpoint_from = self._log_bytes
            self._queue.put(_Checkpoint())

    def _settle_thread(self, batch: _Batch, problem: StoreError | None) -> None:
        self._in_thread -= batch.count
        self._settle(batch, problem)

    def _tell(self, callback: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nothing waits on it anymore
            self._loop.call_soon_threadsafe(callback, *values)

    def _settle(self, batch: _Batch, problem: StoreError | None) -> None:
        if problem is not None:
            self.problem = problem
            self.failures += len(batch.captures) + len(batch.outcomes)
        for saved in batch.waiting:
            if saved.done():  # the request was abandoned
                continue
            if problem is None:
                saved.set_result(None)
            else:
                saved.set_exception(StoreError(problem.message, hint=problem.hint))


def _merged(batches: Iterable[_Batch]) -> Iterator[_Batch]:
    """Yield `batches`, merged into batches that are one commit each."""
    merged: _Batch | None = None
    for batch in batches:
        if merged is None:
            merged = batch
        elif merged.size + batch.size <= _MOST_BYTES:
            merged.add(batch)
        else:
            yield merged
            merged = batch
    if merged is not None:
        yield merged
