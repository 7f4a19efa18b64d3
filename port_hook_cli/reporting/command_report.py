"""Run a command, show its output, and report it to Port: its lines as logs, and its exit code as the status."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path

from port_hook_cli.errors import PortApiError, PortHookError, RunEndedError, StoreError
from port_hook_cli.frozen import frozen
from port_hook_cli.reporting.delivery import ReportDelivery, may_succeed_later
from port_hook_cli.reporting.kept_report import KeptReport, KeptReports, ReportState, call_record
from port_hook_cli.reporting.report import DeliveryApi
from port_hook_cli.reporting.spool import LineSplitter
from port_hook_cli.runs.fate import command_end
from port_hook_cli.runs.updates import Reported, ReportPlan, RunReport, plan_report
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.shown_command import PassedSignals, ShownCommand
from port_hook_cli.terminal.threads import switching_often
from port_hook_cli.text.remark import Say, note

SEND_EVERY_S = 0.5
FIRST_PAUSE_S = 5.0
MAX_PAUSE_S = 60.0
_TAIL_BYTES = 8 * 1024
NOT_FOUND_CODE = 127
NOT_EXECUTABLE_CODE = 126
"""The exit codes that a shell returns for a command that it cannot start."""


@frozen(kw_only=True)
class CommandResult:
    """The result of a reported command.

    `problem` explains why Port does not have the complete report. In that case, `kept_in` is the directory with the
    rest of the report, or None if Port does not accept more of it. `dropped` is the number of lines that could not be
    saved and are lost.
    """

    exit_code: int
    reported: Reported
    problem: PortHookError | None = None
    kept_in: Path | None = None
    dropped: int = 0


@frozen(kw_only=True)
class ReportedCommand:
    """A command to run and report. `given` is the user's own report, without the command's lines and end."""

    words: Sequence[str]
    run_id: str
    given: RunReport
    api_url: str

    def plan_first(self) -> ReportPlan:
        """Return the calls to make before the command's lines."""
        return plan_report(self.run_id, replace(self.given, summary=None, output=None))

    def plan_last(self, exit_code: int, tail: bytes, *, is_interrupted: bool, problem: str) -> ReportPlan:
        """Return the calls that end the run."""
        end = replace(self.given, label=None)
        return plan_report(
            self.run_id,
            command_end(self.run_id, exit_code, tail, end, is_interrupted=is_interrupted, problem=problem),
        )


async def report_command(
    command: ReportedCommand,
    runtime: Runtime,
    open_api: Callable[[], AbstractAsyncContextManager[DeliveryApi]],
    say: Say,
) -> CommandResult:
    """Run a command and report it. If the report cannot be saved on disk, raises StoreError before the start."""
    report = KeptReports(runtime.home).create(_first_state(command, runtime), runtime.new_id())
    live = LiveReport(report, open_api, say)
    with switching_often(), PassedSignals() as signals:
        log = CommandLog(report)
        exit_code, problem, sending = await _run(command, runtime, log, signals, live)
        signals.end()
        log.close()
        plan = command.plan_last(exit_code, log.tail, is_interrupted=signals.is_interrupted, problem=problem)
        if problem:
            say(note(problem))
        report.save(last=tuple(call_record(call) for call in (*plan.logs, *plan.last_calls)))
        live.finish()
        failure = await _send_rest(sending, signals)
    return _close(report, live, exit_code, failure)


async def _run(
    command: ReportedCommand, runtime: Runtime, log: CommandLog, signals: PassedSignals, live: LiveReport
) -> tuple[int, str, asyncio.Task[None]]:
    """Run the command. Return its exit code, why it did not start (or ""), and the task that reports it."""
    try:
        running = ShownCommand(command.words, runtime, log.add)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_found = not isinstance(error, FileNotFoundError)
        words = f"The command {command.words[0]} did not start: {reason}."
        return NOT_EXECUTABLE_CODE if is_found else NOT_FOUND_CODE, words, asyncio.create_task(live.run())
    signals.pass_to(running)
    # The command starts first, because the client of Port's API takes a while to import.
    await asyncio.sleep(0)
    sending = asyncio.create_task(live.run())
    return await running.wait(), "", sending


def _first_state(command: ReportedCommand, runtime: Runtime) -> ReportState:
    plan = command.plan_first()
    return ReportState(
        run_id=command.run_id,
        api_url=command.api_url,
        created_at=runtime.now(),
        level=command.given.log_level,
        first=tuple(call_record(call) for call in (*plan.logs, *plan.last_calls)),
    )


async def _send_rest(sending: asyncio.Task[None], signals: PassedSignals) -> PortHookError | None:
    """Wait until the report is sent, or until a signal. Return what prevented the sending, or None."""
    stopped = asyncio.create_task(signals.wait())
    await asyncio.wait({sending, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not sending.done():
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        return PortHookError("The report was interrupted.")
    try:
        sending.result()
    except PortHookError as problem:
        return problem
    except OSError as error:
        return StoreError(f"port-hook cannot read the report: {error.strerror}.")
    return None


def _close(report: KeptReport, live: LiveReport, exit_code: int, problem: PortHookError | None) -> CommandResult:
    is_over = problem is None or isinstance(problem, RunEndedError)
    reported, dropped = live.delivery.reported, report.spool.dropped
    if is_over:
        report.delete()
    else:
        report.release()
    return CommandResult(
        exit_code=exit_code,
        reported=reported,
        problem=problem,
        kept_in=None if is_over else report.folder,
        dropped=dropped,
    )


class LiveReport:
    """Sends a saved report while it grows. Use `run` as a task, which ends when Port has the complete report.

    `delivery` knows what Port has so far. While the command runs, only the first failure is noted, and sending
    continues after a pause. After `finish`, `run` raises PortApiError or OSError if the rest cannot be sent.
    """

    def __init__(
        self,
        report: KeptReport,
        open_api: Callable[[], AbstractAsyncContextManager[DeliveryApi]],
        say: Say,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._first_pause_s = first_pause_s
        self.delivery = ReportDelivery(report)
        self._open_api = open_api
        self._say = say
        self._finished = asyncio.Event()
        self._has_noted = False

    def finish(self) -> None:
        """Send the rest of the report now, because the report is complete."""
        self._finished.set()

    async def run(self) -> None:
        """Send the report until Port has all of it."""
        async with self._open_api() as api:
            pause_s = self._first_pause_s
            while not self.delivery.is_complete:
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
        await self.delivery.begin(api)
        await self.delivery.send_lines(api)
        if is_last:
            await self.delivery.finish(api)
        else:
            await self._pause(SEND_EVERY_S)

    async def _wait_after(self, problem: PortApiError, pause_s: float) -> None:
        is_final = not may_succeed_later(problem)
        if not self._has_noted:
            self._say(note(_what_now(problem)))
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
    if isinstance(problem, RunEndedError):  # its message is printed when the command ends
        return "The run has ended. The command continues, but its output is not reported."
    if may_succeed_later(problem):
        return f"{problem.message} The command continues, and port-hook tries again."
    return f"{problem.message} The command continues. port-hook saves its output and tries again when it ends."


class CommandLog:
    """Takes the output of a command from threads, and appends the complete lines to a report. Never raises.

    `tail` contains the last lines, about 8 KiB of them.
    """

    def __init__(self, report: KeptReport) -> None:
        self._spool = report.spool
        self._lock = threading.Lock()
        self._splitters: dict[int, LineSplitter] = {}
        self.tail = b""
        self._is_closed = False

    def add(self, stream: int, chunk: bytes) -> None:
        """Add a chunk of a stream. An empty chunk ends the stream."""
        with self._lock:
            if self._is_closed:
                return
            splitter = self._splitters.setdefault(stream, LineSplitter())
            self._append(splitter.add(chunk) if chunk else splitter.take_rest())

    def close(self) -> None:
        """Add the incomplete lines. Nothing may be added after this call."""
        with self._lock:
            for splitter in self._splitters.values():
                self._append(splitter.take_rest())
            self._is_closed = True

    def _append(self, lines: bytes) -> None:
        if lines:
            self._spool.add_lines(lines)
            self.tail = (self.tail + lines[-_TAIL_BYTES:])[-_TAIL_BYTES:]
