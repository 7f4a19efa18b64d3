"""The observer that reports the end of runs for handlers that do not report themselves (`listen --report`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.listener.observers import Observer, open_run
from port_hook_cli.listener.view import report_event
from port_hook_cli.reporting.report import RunApi, send_report
from port_hook_cli.runs.updates import RunReport, RunStatus, is_node_run, plan_report
from port_hook_cli.text.safe import brief

MAX_WAITING = 1_000
"""Reports that wait at the same time. More are left out, and counted."""

INTERRUPTED_S = 5.0
"""Seconds that an interrupted session waits for reports."""


class RunReporter(Observer):
    """Reports each run once its handler has responded, in a task of its own.

    With `status` success, a run ends as SUCCESS if the handler responded with a 2xx status, else as FAILURE; with
    failure, it always ends as FAILURE. `screen` shows what was reported. The ids of the runs that have ended are
    added to `settled`.
    """

    def __init__(
        self,
        status: RunStatus,
        open_api: Callable[[], AbstractAsyncContextManager[RunApi]],
        screen: Observer,
        settled: set[str],
    ) -> None:
        self._status = status
        self._open_api = open_api
        self._screen = screen
        self._settled = settled
        self._queue: asyncio.Queue[tuple[str, RunReport]] = asyncio.Queue(MAX_WAITING)
        self._left_out = 0
        self._work: asyncio.Task[None] | None = None

    def exchanged(self, exchange: Exchange) -> None:
        """Report the run of an exchange, if the response has not ended it."""
        run_id = open_run(exchange)
        if run_id is None:
            return
        self._work = self._work or asyncio.create_task(self._report_all())
        try:
            self._queue.put_nowait((run_id, end_of(exchange, run_id, self._status)))
        except asyncio.QueueFull:
            self._left_out += 1

    async def finish(self, interrupted: asyncio.Event) -> None:
        """Wait until all reports are sent."""
        if self._work is None:
            return
        done = asyncio.create_task(self._queue.join())
        stopped = asyncio.create_task(interrupted.wait())
        await asyncio.wait({done, stopped, self._work}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            await asyncio.wait({done}, timeout=INTERRUPTED_S)
        unsent = self._left_out + (0 if done.done() else max(1, self._queue.qsize()))
        for task in (done, stopped, self._work):
            task.cancel()
        await asyncio.gather(self._work, return_exceptions=True)
        if unsent:
            self._screen.notice(f"warning: {unsent} run{'' if unsent == 1 else 's'} could not be reported in time.")

    async def _report_all(self) -> None:
        try:
            async with self._open_api() as api:
                while True:
                    run_id, report = await self._queue.get()
                    await self._report(api, run_id, report)
                    self._queue.task_done()
        except PortApiError as problem:  # the client could not be created
            self._screen.notice(f"error: No run can be reported: {problem.message}")

    async def _report(self, api: RunApi, run_id: str, report: RunReport) -> None:
        shown = brief(run_id)
        try:
            reported = await send_report(api, plan_report(run_id, report))
        except RunEndedError as problem:
            self._settled.add(run_id)
            self._screen.notice(f"Not reported by --report: {problem.message}")
            self._screen.event(report_event(run_id, status=None, error=problem.message))
        except PortApiError as problem:
            self._screen.notice(f"error: {shown} was not reported: {problem.message}")
            self._screen.event(report_event(run_id, status=None, error=problem.message))
        else:
            self._settled.add(run_id)
            self._screen.notice(f"Reported {shown}: {reported.status} (--report)")
            self._screen.event(report_event(run_id, status=reported.status, error=None))


def end_of(exchange: Exchange, run_id: str, status: RunStatus) -> RunReport:
    """Return the report that ends the run of an exchange."""
    response, delivery = exchange.response, exchange.delivery
    code = 0 if response is None else response.status
    if status is RunStatus.SUCCESS and code // 100 == 2:  # noqa: PLR2004 - the class of 2xx
        return RunReport(status=RunStatus.SUCCESS)
    words = f"The response of {'port-hook' if delivery is None else 'the handler'} was {code}."
    if delivery is not None and delivery.status is None:
        words = f"The handler did not respond: {delivery.error}."
    # A workflow node's run has no summary.
    if is_node_run(run_id):
        return RunReport(status=RunStatus.FAILURE, logs=(words,))
    return RunReport(status=RunStatus.FAILURE, summary=words)
