"""When requests are forwarded: a limited number at once, and those of one run one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext


class _Line:
    """The requests of one run: one of them has the lock, the others wait for it in order of arrival."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0


class Turns:
    """Requests take turns, in order of arrival. How many may wait is limited where they are received.

    At most `limit` are forwarded at once; None means any number. With `in_order`, a request waits until the response
    to the previous one of its run has arrived.
    """

    def __init__(self, limit: int | None, *, in_order: bool) -> None:
        self._slots = asyncio.Semaphore(limit) if limit else nullcontext()
        self._in_order = in_order
        self._lines: dict[str, _Line] = {}

    @property
    def runs(self) -> int:
        """How many runs have requests that are forwarded or wait, with `in_order`."""
        return len(self._lines)

    def turn(self, run_id: str | None) -> AbstractAsyncContextManager[None]:
        """Return a context in which a request of `run_id` is forwarded. Entering it waits for the turn."""
        return self._of_run(run_id) if self._in_order and run_id else self._slot()

    @asynccontextmanager
    async def _of_run(self, run_id: str) -> AsyncIterator[None]:
        line = self._lines.setdefault(run_id, _Line())
        line.count += 1
        try:
            async with line.lock, self._slots:  # a request that waits for its run must not use up a slot
                yield
        finally:
            line.count -= 1
            if not line.count:
                del self._lines[run_id]

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        async with self._slots:
            yield
