"""Sends the reports that Port did not get when their commands ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

from port_hook_cli.errors import PortApiError, RunEndedError, StoreError
from port_hook_cli.reporting.delivery import ReportDelivery
from port_hook_cli.reporting.kept_report import KeptReport, KeptReports
from port_hook_cli.reporting.protocols import DeliveryApi
from port_hook_cli.runs.updates import Reported


@unique
class PendingOutcome(StrEnum):
    """What happened to a report that was kept."""

    SENT = "sent"
    OPEN = "open"
    """All that is known was sent, but not how the command ended: its port-hook was killed."""
    ENDED = "ended"
    ELSEWHERE = "elsewhere"
    IN_USE = "in-use"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPending:
    """A report that was kept, and what happened to it now. `message` says why it is not sent, and `hint` what to do."""

    outcome: PendingOutcome
    reported: Reported
    folder: Path
    message: str = ""
    hint: str = ""


async def send_pending(
    reports: KeptReports, api: DeliveryApi, *, api_url: str, run_id: str | None = None
) -> AsyncIterator[SentPending]:
    """Send all reports that are kept, or those of one run, the oldest first.

    A report is sent only to the address of Port's API that it was made for.
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
        problem_ = StoreError(f"The report of {run_id} cannot be read: {error.strerror}.", hint="Check the disk.")
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
