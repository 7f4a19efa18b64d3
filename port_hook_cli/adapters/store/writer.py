"""The thread that saves for a listener: many concurrent captures share one commit.

What the event loop meets in one turn is handed over as one batch, and the loop is woken once per commit. Both keep
the two threads from fighting over the interpreter, which costs more than the commit itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from queue import SimpleQueue
from threading import Thread

from port_hook_cli.adapters.store.captures import CaptureStore
from port_hook_cli.adapters.store.rows import Row
from port_hook_cli.core.models import Exchange
from port_hook_cli.errors import StoreError

# How long an outcome waits for a save to travel with.
_OUTCOME_DELAY_S = 0.05


class _Batch:
    """What goes to the thread at once: rows with the futures that wait for them, and outcomes."""

    __slots__ = ("outcomes", "rows", "waiting")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.outcomes: list[Row] = []


class StoreWriter:
    """Saves to `store` from a thread of its own, for callers on `loop`; owns the store and closes it.

    `problem` is the latest failure; `failures` counts the captures and outcomes that were lost.
    """

    def __init__(self, store: CaptureStore, loop: asyncio.AbstractEventLoop) -> None:
        self.problem: StoreError | None = None
        self.failures = 0
        self._store = store
        self._loop = loop
        self._batch = _Batch()
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._closed = False
        self._ended: asyncio.Future[None] = loop.create_future()
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="port-hook-store", daemon=True)
        self._thread.start()

    def save(self, exchange: Exchange) -> asyncio.Future[None]:
        """Begin to save `exchange`. The future is done when it is committed; a StoreError is its exception.

        Whoever asks must await it, at once or later.
        """
        saved: asyncio.Future[None] = self._loop.create_future()
        if self._closed:
            saved.set_exception(StoreError("The capture store has been closed."))
            return saved
        self._batch.rows.append(self._store.row(exchange))
        self._batch.waiting.append(saved)
        if self._soon is None:
            self._soon = self._loop.call_soon(self._hand_over)
        return saved

    def complete(self, exchange: Exchange) -> None:
        """Save delivery and answer of an exchange, with the next commit or soon; a failure is kept in `problem`."""
        if self._closed:
            return
        self._batch.outcomes.append(self._store.outcome(exchange))
        if self._later is None:
            self._later = self._loop.call_later(_OUTCOME_DELAY_S, self._hand_over)

    async def close(self) -> None:
        """Write what is waiting, then close the store."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _hand_over(self) -> None:
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()
        self._soon = self._later = None
        self._queue.put(self._batch)
        self._batch = _Batch()

    def _run(self) -> None:
        is_open = True
        while is_open:
            handed = [self._queue.get()]
            while self._queue.qsize():  # nobody else takes from this queue
                handed.append(self._queue.get())
            is_open = handed[-1] is not None
            self._commit([batch for batch in handed if batch is not None])
        self._store.close()
        self._tell(self._ended.set_result, None)

    def _commit(self, batches: Sequence[_Batch]) -> None:
        rows = [row for batch in batches for row in batch.rows]
        outcomes = [row for batch in batches for row in batch.outcomes]
        problem: StoreError | None = None
        try:
            self._store.write(rows, outcomes)
        except StoreError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - whoever waits for this commit would wait for ever
            problem = StoreError(f"The capture store failed: {error}.")
        self._tell(self._settle, batches, problem)

    def _tell(self, callback: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop has gone, and with it everyone who waited
            self._loop.call_soon_threadsafe(callback, *values)

    def _settle(self, batches: Sequence[_Batch], problem: StoreError | None) -> None:
        if problem is not None:
            self.problem = problem
            self.failures += sum(len(batch.rows) + len(batch.outcomes) for batch in batches)
        for saved in chain.from_iterable(batch.waiting for batch in batches):
            if saved.done():  # its request was given up
                continue
            if problem is None:
                saved.set_result(None)
            else:
                saved.set_exception(StoreError(problem.message, hint=problem.hint))
