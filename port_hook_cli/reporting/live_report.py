"""Reports a command while it runs: its lines go to a kept report, and from there to Port, at the pace of each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.reporting.delivery import ReportDelivery, may_succeed_later
from port_hook_cli.reporting.kept_report import KeptReport
from port_hook_cli.reporting.protocols import DeliveryApi
from port_hook_cli.reporting.spool import LineSplitter

SEND_EVERY_S = 0.5
FIRST_PAUSE_S = 5.0
MAX_PAUSE_S = 60.0
_TAIL_BYTES = 8 * 1024


class CommandLog:
    """Takes the output of a command in threads and appends its whole lines to a report. Never raises."""

    def __init__(self, report: KeptReport) -> None:
        self._spool = report.spool
        self._lock = threading.Lock()
        self._splitters: dict[int, LineSplitter] = {}
        self._tail = b""
        self._is_closed = False

    def add(self, stream: int, chunk: bytes) -> None:
        """Add a chunk of a stream; an empty one ends it."""
        with self._lock:
            if self._is_closed:
                return
            splitter = self._splitters.setdefault(stream, LineSplitter())
            self._append(splitter.add(chunk) if chunk else splitter.take_rest())

    def close(self) -> None:
        """Add the lines that are incomplete. Nothing is added after that."""
        with self._lock:
            for splitter in self._splitters.values():
                self._append(splitter.take_rest())
            self._is_closed = True

    @property
    def tail(self) -> bytes:
        """The last lines, about 8 KiB of them."""
        return self._tail

    def _append(self, lines: bytes) -> None:
        if lines:
            self._spool.append(lines)
            self._tail = (self._tail + lines[-_TAIL_BYTES:])[-_TAIL_BYTES:]


class LiveReport:
    """Sends a kept report while it grows. Use it as a task: `run` returns when Port has all of it.

    While the command runs, a failure is noted once, and tried again after a pause. After `finish`, `run` raises
    PortApiError, or OSError, if the rest cannot be sent.
    """

    def __init__(
        self,
        report: KeptReport,
        open_api: Callable[[], AbstractAsyncContextManager[DeliveryApi]],
        note: Callable[[str], None],
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._first_pause_s = first_pause_s
        self._delivery = ReportDelivery(report)
        self._report = report
        self._open_api = open_api
        self._note = note
        self._finished = asyncio.Event()
        self._has_noted = False

    @property
    def delivery(self) -> ReportDelivery:
        """What Port has so far."""
        return self._delivery

    def finish(self) -> None:
        """Send the rest now: the report is complete."""
        self._finished.set()

    async def run(self) -> None:
        """Send the report until all of it is sent."""
        async with self._open_api() as api:
            pause_s = self._first_pause_s
            while not self._delivery.is_complete:
                is_last = self._finished.is_set()
                try:
                    await self._send(api, is_last=is_last)
                    pause_s = self._first_pause_s
                except PortApiError as problem:
                    if is_last:
                        raise
                    await self._wait_after(problem, pause_s)
                    pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _send(self, api: DeliveryApi, *, is_last: bool) -> None:
        await self._delivery.begin(api)
        await self._delivery.send_lines(api)
        if is_last:
            await self._delivery.finish(api)
        else:
            await self._pause(SEND_EVERY_S)

    async def _wait_after(self, problem: PortApiError, pause_s: float) -> None:
        is_final = not may_succeed_later(problem)
        if not self._has_noted:
            self._note(f"{problem.message} {_what_now(problem)}")
            self._has_noted = True
        if is_final:
            await self._finished.wait()
        else:
            await self._pause(pause_s)

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._finished.wait()


def _what_now(problem: PortApiError) -> str:
    if isinstance(problem, RunEndedError):
        return "The command goes on, but its output is not reported."
    if may_succeed_later(problem):
        return "The command goes on, and port-hook keeps trying."
    return "The command goes on. Its output is kept, and port-hook tries again when it ends."
