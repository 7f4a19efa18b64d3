"""What is reported of a run, and the calls to Port's API that say it.

Routes and fields: Port's API reference, "Update an action run", "Add a log to an action run", "Update a workflow
node run", and Port's page "Interact with workflow runs".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any
from urllib.parse import quote, urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.runs.log_splitting import split_log

NODE_RUN_PREFIX = "wfnr_"
# A run that has one of these takes no more updates. COMPLETED is a workflow node run's.
ENDED = frozenset({"SUCCESS", "FAILURE", "DECLINED", "COMPLETED"})


class RunStatus(StrEnum):
    """How a run ends."""

    SUCCESS = "success"
    FAILURE = "failure"


_NODE_ENDS = {
    RunStatus.SUCCESS: {"status": "COMPLETED", "result": "SUCCESS"},
    RunStatus.FAILURE: {"status": "COMPLETED", "result": "FAILED"},
}


@unique
class Purpose(StrEnum):
    """What a call is for; the order is the order of a report."""

    READ = "read"
    LOG = "log"
    FIELDS = "fields"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to Port's API. `wanted` is the run status that a termination asks for, None for every other call."""

    purpose: Purpose
    run_id: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    wanted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one is told about a run. Empty fields are not sent."""

    status: RunStatus | None = None
    label: str | None = None
    summary: str | None = None
    links: tuple[str, ...] = ()
    external_run_id: str | None = None
    logs: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return self == RunReport()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlan:
    """The calls of a report, and what the user should know about them. Streamed logs go before `closing_logs`."""

    run_id: str
    logs: tuple[Call, ...] = ()
    closing_logs: tuple[Call, ...] = ()
    fields: Call | None = None
    status: Call | None = None
    remarks: tuple[str, ...] = ()

    @property
    def last_calls(self) -> tuple[Call, ...]:
        """What follows the log: a run that has ended takes nothing more, so its status is the last of all."""
        return (*self.closing_logs, *(call for call in (self.fields, self.status) if call is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What Port took: the number of log entries, the fields by Port's names, the status."""

    run_id: str
    logs_sent: int = 0
    fields: tuple[str, ...] = ()
    status: str | None = None


def is_node_run(run_id: str) -> bool:
    """Whether `run_id` names a workflow node's run, which has its own routes."""
    return run_id.startswith(NODE_RUN_PREFIX)


def run_path(run_id: str) -> str:
    """Return the API path of a run, with the id quoted."""
    base = "/v1/workflows/nodes/runs" if is_node_run(run_id) else "/v1/actions/runs"
    segment = quote(run_id, safe="")
    # `.` and `..` would be resolved away by the client.
    return f"{base}/{segment if segment.strip('.') else segment.replace('.', '%2E')}"


def ended_status(run: Mapping[str, Any]) -> str | None:
    """Return the status that a run, as Port's API shows it, ended with; None while it still takes updates."""
    status = str(run.get("status"))
    return status if status in ENDED or run.get("endedAt") else None


def plan_report(run_id: str, report: RunReport) -> ReportPlan:
    """Return the calls that say `report`; raises UsageError for a value that Port cannot take."""
    _check(report)
    if is_node_run(run_id):
        return _plan_node_run(run_id, report)
    fields = {
        "statusLabel": report.label,
        "link": list(report.links) or None,
        "summary": report.summary,
        "externalRunId": report.external_run_id,
    }
    sent = {name: value for name, value in fields.items() if value is not None}
    return ReportPlan(
        run_id=run_id,
        logs=_log_calls(run_id, report.logs),
        fields=patch_call(run_id, sent) if sent else None,
        status=None if report.status is None else patch_call(run_id, {"status": report.status.name}),
    )


def patch_call(run_id: str, fields: Mapping[str, Any]) -> Call:
    """Return the call that sets `fields`; one that ends the run says so in `purpose` and `wanted`."""
    end = fields.get("result") if is_node_run(run_id) else fields.get("status")
    purpose = Purpose.FIELDS if end is None else Purpose.STATUS
    return Call(purpose=purpose, run_id=run_id, method="PATCH", path=run_path(run_id), body=fields, wanted=end)


def log_calls(run_id: str, message: str) -> tuple[Call, ...]:
    """Return the calls that add `message` to the run's log: one, or as many as the 1 MiB limit needs."""
    path = f"{run_path(run_id)}/logs"
    return tuple(
        Call(purpose=Purpose.LOG, run_id=run_id, method="POST", path=path, body=_log_body(run_id, part))
        for part in split_log(message, envelope=_log_body(run_id, ""))
    )


def _log_body(run_id: str, message: str) -> dict[str, Any]:
    return {"logs": [{"level": "INFO", "message": message}]} if is_node_run(run_id) else {"message": message}


def _log_calls(run_id: str, messages: tuple[str, ...]) -> tuple[Call, ...]:
    return tuple(call for message in messages for call in log_calls(run_id, message))


def _plan_node_run(run_id: str, report: RunReport) -> ReportPlan:
    told = [f"{name}: {text}" for name, text in (("Label", report.label), ("Summary", report.summary)) if text]
    # The reference asks for a status in every update; a node that is still running is in progress.
    fields = {"status": "IN_PROGRESS", "links": list(report.links) or None, "externalRunId": report.external_run_id}
    sent = {name: value for name, value in fields.items() if value is not None}
    return ReportPlan(
        run_id=run_id,
        logs=_log_calls(run_id, report.logs),
        closing_logs=_log_calls(run_id, tuple(told)),
        fields=patch_call(run_id, sent) if len(sent) > 1 else None,
        status=None if report.status is None else patch_call(run_id, _NODE_ENDS[report.status]),
        remarks=("a workflow node's run has no label and no summary: they are sent as log lines",) if told else (),
    )


def _check(report: RunReport) -> None:
    if any(not message.strip() for message in report.logs):
        raise UsageError("A log message is empty.", hint="Give --log some text, or leave it out.")
    for link in report.links:
        _check_link(link)


def _check_link(link: str) -> None:
    try:
        parts = urlsplit(link)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise UsageError(f"{link!r} is not a link.", hint="Give --link a whole URL, such as https://ci.example.com/7.")
