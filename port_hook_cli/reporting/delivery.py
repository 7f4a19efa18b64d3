"""Send saved reports to Port, in order, and each call only once if possible."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from enum import StrEnum, unique
from functools import partial
from pathlib import Path
from typing import TypeAlias

from port_hook_cli.errors import PortApiError, RunEndedError, StoreError
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.responses import run_ended
from port_hook_cli.reporting.kept_report import KeptReport, KeptReports, kept_call
from port_hook_cli.reporting.report import DeliveryApi, known_end, reported_by
from port_hook_cli.runs.updates import Call, Purpose, Reported, is_node_run, log_calls
from port_hook_cli.text.safe import plain_output

_MOST_PAGES = 200
IsTaken: TypeAlias = Callable[[], Awaitable[bool]]


class ReportDelivery:
    """Sends one saved report. The methods raise PortApiError, RunEndedError, StoreError or OSError.

    After an error, call the methods again. What Port has accepted is not sent twice.
    """

    def __init__(self, report: KeptReport) -> None:
        self._report = report
        self._run_id = report.state.run_id
        self._is_begun = False

    @property
    def is_complete(self) -> bool:
        """Whether Port has the complete report."""
        state = self._report.state
        return state.last is not None and state.last_made == len(state.last)

    @property
    def reported(self) -> Reported:
        """The part of the report that Port has accepted so far."""
        state = self._report.state
        made = (*state.first[: state.first_made], *(state.last or ())[: state.last_made])
        calls = [kept_call(self._run_id, record) for record in made]
        return replace(reported_by(self._run_id, calls), logs_sent=state.entries_sent)

    async def begin(self, api: DeliveryApi) -> None:
        """Check that the run accepts reports, and make the calls that come before the log lines."""
        if not self._is_begun:
            await self._check_in_progress(api)
            await self._count_entries(api)
            self._is_begun = True
        state = self._report.state
        for record in state.first[state.first_made :]:
            made = {"first_made": self._report.state.first_made + 1}
            await self._make(api, kept_call(self._run_id, record), made)

    async def send_lines(self, api: DeliveryApi) -> None:
        """Send the log lines that are waiting."""
        report = self._report
        while batch := report.spool.next_batch():
            message = plain_output(batch).rstrip("\n")
            moved = {"lines_sent": report.state.lines_sent + len(batch)}
            if message.strip():  # Port rejects blank messages
                (call,) = log_calls(self._run_id, message, report.state.log_level)
                await self._make(api, call, moved)
            else:
                report.save(**moved)
            report.spool.advance(len(batch))

    async def finish(self, api: DeliveryApi) -> None:
        """Make the calls that come after the log lines."""
        state = self._report.state
        for record in (state.last or ())[state.last_made :]:
            made = {"last_made": self._report.state.last_made + 1}
            await self._make(api, kept_call(self._run_id, record), made)

    async def _make(self, api: DeliveryApi, call: Call, made: dict[str, int]) -> None:
        """Make a call. Before the call, record that Port may have it, and after the call, record that Port has it."""
        report, is_log = self._report, call.purpose is Purpose.LOG
        self._is_begun, was_unsure = False, report.state.unsure
        is_taken = partial(self._has_entry, api, call) if is_log and self._can_look else None
        if not (was_unsure and is_taken and await is_taken()):
            report.save(unsure=True)
            await self._send(api, call, is_taken, was_unsure=was_unsure)
        report.save(**made, unsure=False, entries_sent=report.state.entries_sent + is_log)
        self._is_begun = True

    async def _send(self, api: DeliveryApi, call: Call, is_taken: IsTaken | None, *, was_unsure: bool) -> None:
        try:
            await api.send(call, is_taken=is_taken)
        except RunEndedError:
            # Port has no route that returns a node run. If Port may have accepted the status, the ended run shows that
            # it has.
            if not (was_unsure and call.wanted and is_node_run(self._run_id)):
                raise

    @property
    def _can_look(self) -> bool:
        return self._report.state.entries_before is not None

    async def _has_entry(self, api: DeliveryApi, call: Call) -> bool:
        """Return whether the run's log contains the entry of `call` after the previously sent entries."""
        state = self._report.state
        entries = await api.run_logs(self._run_id, offset=(state.entries_before or 0) + state.entries_sent)
        message = (call.body or {}).get("message")
        return any(entry.get("message") == message for entry in entries)

    async def _check_in_progress(self, api: DeliveryApi) -> None:
        """Raise RunEndedError if the run has ended, unless this report ended it."""
        status = await known_end(api, self._run_id)
        if status is None:
            return
        state = self._report.state
        rest = [kept_call(self._run_id, record) for record in (state.last or ())[state.last_made :]]
        if state.unsure and rest and rest[0].wanted == status and not self._report.spool.waiting:
            self._report.save(last_made=state.last_made + 1, unsure=False)
            return
        raise run_ended(self._run_id, status)

    async def _count_entries(self, api: DeliveryApi) -> None:
        """Record how many log entries the run has. Without that number, port-hook cannot look up lost responses."""
        state = self._report.state
        if is_node_run(self._run_id) or state.entries_before is not None or state.entries_sent or state.unsure:
            return
        count = 0
        try:
            for _ in range(_MOST_PAGES):
                page = await api.run_logs(self._run_id, offset=count)
                if not page:
                    self._report.save(entries_before=count)
                    return
                count += len(page)
        except RunEndedError:
            raise
        except PortApiError as problem:
            if may_succeed_later(problem):
                raise


def may_succeed_later(problem: PortApiError) -> bool:
    """Return whether the same call may succeed later: without a response, after a 429, or after a server error."""
    if isinstance(problem, RunEndedError):
        return False
    return problem.status is None or problem.status == 429 or problem.status >= 500  # noqa: PLR2004


@unique
class PendingOutcome(StrEnum):
    """The outcome of sending a saved report."""

    SENT = "sent"
    OPEN = "open"
    """All known data was sent. The end of the command is unknown, because its port-hook was killed."""
    ENDED = "ended"
    ELSEWHERE = "elsewhere"
    IN_USE = "in-use"
    FAILED = "failed"


@frozen(kw_only=True)
class SentPending:
    """A saved report, and its current outcome. `message` explains why it was not sent, and `hint` what to do."""

    outcome: PendingOutcome
    reported: Reported
    folder: Path
    message: str = ""
    hint: str = ""


async def send_pending(
    reports: KeptReports, api: DeliveryApi, *, api_url: str, run_id: str | None = None
) -> AsyncIterator[SentPending]:
    """Send all saved reports, or only the reports of one run, with the oldest first.

    A report is sent only to the address of Port's API for which it was saved.
    """
    for folder in reports.folders():
        if reports.is_empty(folder):
            continue
        try:
            report = reports.open(folder)
        except StoreError as problem:
            yield _failed(folder, "", problem)
            continue
        if report is None:
            if run_id is None:
                yield SentPending(outcome=PendingOutcome.IN_USE, reported=Reported(run_id=""), folder=folder)
        elif run_id is not None and report.state.run_id != run_id:
            report.release()
        else:
            yield await _send(report, api, api_url)


async def _send(report: KeptReport, api: DeliveryApi, api_url: str) -> SentPending:
    run_id = report.state.run_id
    if report.state.api_url != api_url:
        report.release()
        message = f"The report of {run_id} is for {report.state.api_url}, not for {api_url}."
        hint = "Set PORT_API_URL or PORT_REGION, and the credentials of its organization."
        return SentPending(
            outcome=PendingOutcome.ELSEWHERE,
            reported=Reported(run_id=run_id),
            folder=report.folder,
            message=message,
            hint=hint,
        )
    is_kept = True
    delivery = ReportDelivery(report)
    try:
        await delivery.begin(api)
        await delivery.send_lines(api)
        await delivery.finish(api)
        is_kept = False
    except RunEndedError as problem:
        is_kept = False
        return SentPending(
            outcome=PendingOutcome.ENDED, reported=delivery.reported, folder=report.folder, message=problem.message
        )
    except PortApiError as problem:
        return _failed(report.folder, run_id, problem)
    except OSError as error:
        problem_ = StoreError(
            f"port-hook cannot read the report of {run_id}: {error.strerror}.", hint="Check the disk."
        )
        return _failed(report.folder, run_id, problem_)
    finally:
        if is_kept:
            report.release()
        else:
            report.delete()
    outcome = PendingOutcome.SENT if delivery.is_complete else PendingOutcome.OPEN
    return SentPending(outcome=outcome, reported=delivery.reported, folder=report.folder)


def _failed(folder: Path, run_id: str, problem: PortApiError | StoreError) -> SentPending:
    return SentPending(
        outcome=PendingOutcome.FAILED,
        reported=Reported(run_id=run_id),
        folder=folder,
        message=problem.message,
        hint=problem.hint,
    )
