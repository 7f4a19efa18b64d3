"""The observers that work with runs in Port after the handlers have responded.

`listen --report` ends the runs that handlers don't report. `listen --follow` watches runs until they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import PortApiError, RunEndedError
from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.observers import Observer, open_run
from port_hook_cli.listener.view import report_event, run_event, run_log_event
from port_hook_cli.reporting.report import RunApi, send_report
from port_hook_cli.runs.updates import RunReport, RunStatus, ended_status, is_node_run, plan_report
from port_hook_cli.text.safe import brief
from port_hook_cli.trigger.in_port import LogLine, RunChanged, Runs, follow
from port_hook_cli.trigger.port_workflows import PortWorkflows

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi


MAX_WAITING = 1_000
"""The maximum number of reports that wait concurrently. Further reports are counted, but not sent."""

INTERRUPTED_S = 5.0
"""The number of seconds that an interrupted session waits for reports."""


class RunReporter(Observer):
    """Reports each run once its handler has responded, in a separate task.

    If `status` is success, a run ends as SUCCESS if the handler responded with a 2xx status, and as FAILURE otherwise.
    If `status` is failure, every run ends as FAILURE. `screen` shows the reports. `settled` receives the IDs of the
    runs that have ended.
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

    def captured(self, capture: Capture) -> None:
        """Report the run of a capture, unless the response has already ended the run."""
        run_id = open_run(capture)
        if run_id is None:
            return
        self._work = self._work or asyncio.create_task(self._report_all())
        try:
            self._queue.put_nowait((run_id, end_of(capture, run_id, self._status)))
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
            self._screen.notice(f"warning: {unsent} run{' was' if unsent == 1 else 's were'} not reported in time.")

    async def _report_all(self) -> None:
        try:
            async with self._open_api() as api:
                while True:
                    run_id, report = await self._queue.get()
                    await self._report(api, run_id, report)
                    self._queue.task_done()
        except PortApiError as problem:  # the client could not be created
            self._screen.notice(f"error: port-hook cannot report runs: {problem.message}")

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


def end_of(capture: Capture, run_id: str, status: RunStatus) -> RunReport:
    """Return the report that ends the run of a capture."""
    response, delivery = capture.response, capture.delivery
    code = 0 if response is None else response.status
    if status is RunStatus.SUCCESS and code // 100 == 2:  # noqa: PLR2004 - the class of 2xx
        return RunReport(status=RunStatus.SUCCESS)
    words = f"The response of {'port-hook' if delivery is None else 'the handler'} was {code}."
    if delivery is not None and delivery.status is None:
        words = f"The handler did not respond: {delivery.error}."
    # A node run has no summary.
    if is_node_run(run_id):
        return RunReport(status=RunStatus.FAILURE, logs=(words,))
    return RunReport(status=RunStatus.FAILURE, summary=words)


MAX_FOLLOWED = 20
"""The maximum number of runs to follow concurrently."""

MAX_PAUSE_S = 2.0
FOLLOW_S = 600.0
"""How many seconds `--follow` waits for the end of a run."""

_MAX_NAMED = 5
_MAX_LOG_LINES = 20
_MAX_LOG_CHARACTERS = 2_000
_MAX_SETTLED = 10_000


class RunFollower(Observer):
    """Follows each run of a verified request until the run ends, for at most `timeout_s` seconds.

    A run that a 2xx response has ended is not followed. `screen` shows new log entries and each status. `settled`
    receives the IDs of the runs that have ended. When the session ends by itself, it waits for the followed runs.
    """

    def __init__(
        self,
        open_api: Callable[[], AbstractAsyncContextManager[PortApi]],
        screen: Observer,
        settled: set[str],
        *,
        timeout_s: float = FOLLOW_S,
    ) -> None:
        self._open_api = open_api
        self._screen = screen
        self._settled = settled
        self._timeout_s = timeout_s
        self._stack = AsyncExitStack()
        self._api: PortApi | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._silent: dict[str, None] = {}
        self._not_followed = 0

    def captured(self, capture: Capture) -> None:
        """Follow the run of a capture, if the handler accepted the request."""
        run_id, response = open_run(capture), capture.response
        if run_id is None or response is None or response.status // 100 != 2:  # noqa: PLR2004 - the class of 2xx
            return
        if run_id in self._tasks:
            return
        if len(self._tasks) >= MAX_FOLLOWED:
            self._not_followed += 1
            return
        if is_node_run(run_id) and capture.payload.workflow_run is None:
            self._screen.notice(
                f"note: {brief(run_id)} is not followed: the payload does not contain its workflow run."
            )
            return
        task = asyncio.create_task(self._follow(run_id, capture.payload.workflow_run))
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(run_id, None))

    async def finish(self, interrupted: asyncio.Event) -> None:
        """Wait for the followed runs, and list the runs that got no report."""
        stopped = asyncio.create_task(interrupted.wait())
        while self._tasks and not stopped.done():
            await asyncio.wait({stopped, *self._tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()
        self._sum_up()

    async def _follow(self, run_id: str, workflow_run: str | None) -> None:
        watched = _WatchedRun(run_id, self._screen)
        self._silent[run_id] = None
        try:
            runs = self._runs(await self._client(), workflow_run if is_node_run(run_id) else None)
            run = await follow(
                runs,
                {"id": run_id, "status": "IN_PROGRESS"},
                wait_s=self._timeout_s,
                on_event=watched.show,
                max_pause_s=MAX_PAUSE_S,
            )
        except PortApiError as problem:
            self._screen.notice(f"error: {brief(run_id)} is no longer followed: {problem.message}")
        else:
            if ended_status(run) is None:
                self._screen.notice(f"{brief(run_id)} did not end within {self._timeout_s:g} s (--follow).")
            elif len(self._settled) < _MAX_SETTLED:
                self._settled.add(run_id)
        finally:
            if watched.has_report:
                self._silent.pop(run_id, None)
            while len(self._silent) > _MAX_SETTLED:
                self._silent.pop(next(iter(self._silent)))

    async def _client(self) -> PortApi:
        if self._api is None:
            self._api = await self._stack.enter_async_context(self._open_api())
        return self._api

    @staticmethod
    def _runs(api: PortApi, workflow_run: str | None) -> Runs:
        return api if workflow_run is None else NodeRuns(PortWorkflows(api), workflow_run)

    def _sum_up(self) -> None:
        if self._not_followed:
            self._screen.notice(
                f"note: {self._not_followed} runs were not followed: --follow watches {MAX_FOLLOWED} at a time."
            )
        silent = [run_id for run_id in self._silent if run_id not in self._settled]
        if silent:
            named = ", ".join(brief(run_id) for run_id in islice(silent, _MAX_NAMED))
            more = f" and {len(silent) - _MAX_NAMED} more" if len(silent) > _MAX_NAMED else ""
            self._screen.notice(f"Followed, but not reported by the handler: {named}{more}")


class NodeRuns:
    """The node runs of one workflow run, in the format of action runs. Port does not document a log for node runs."""

    def __init__(self, workflows: PortWorkflows, workflow_run: str) -> None:
        self._workflows = workflows
        self._workflow_run = workflow_run

    async def get_run(self, run_id: str, /) -> dict[str, Any]:
        """Return the status of a node run, with its result as the label."""
        shown = await self._workflows.run(self._workflow_run)
        node = next((node for node in shown.node_runs if node.id == run_id), None)
        return {
            "id": run_id,
            "status": node.status if node else "IN_PROGRESS",
            "statusLabel": node.result if node else None,
        }

    async def run_logs(self, _: str, /, *, offset: int = 0) -> list[dict[str, Any]]:  # noqa: ARG002 - the protocol
        """Return no log entries."""
        return []


class _WatchedRun:
    """Shows the changes of one run."""

    def __init__(self, run_id: str, screen: Observer) -> None:
        self._run_id, self._screen = run_id, screen
        self.has_report = False

    def show(self, event: RunChanged | LogLine) -> None:
        """Show a change of the status or the label, or a log entry."""
        self.has_report = True
        if isinstance(event, LogLine):
            self._log(event.entry)
        else:
            self._change(event.run)

    def _change(self, run: Mapping[str, Any]) -> None:
        status, label = str(run.get("status")), run.get("statusLabel")
        words = f"{status} ({label})" if label else status
        self._screen.notice(f"{brief(self._run_id)}: {brief(words)}")
        self._screen.event(run_event(self._run_id, status=status, label=label if isinstance(label, str) else None))

    def _log(self, entry: Mapping[str, Any]) -> None:
        message = str(entry.get("message", ""))
        lines = message[:_MAX_LOG_CHARACTERS].splitlines()
        for line in lines[:_MAX_LOG_LINES]:
            self._screen.notice(f"{brief(self._run_id)}: log: {line}")
        if len(message) > _MAX_LOG_CHARACTERS or len(lines) > _MAX_LOG_LINES:
            self._screen.notice(f"{brief(self._run_id)}: log: … the rest of this entry is in Port")
        self._screen.event(run_log_event(self._run_id, message))
