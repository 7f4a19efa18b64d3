"""Reports on runs, and the calls to Port's API that send the reports.

The routes and fields come from Port's API reference ("Update an action run", "Add a log to an action run", "Update a
workflow node run") and from Port's page "Interact with workflow runs".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any
from urllib.parse import quote, urlsplit

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen

# Port's API reference says for every route with a body: "Request body is too large (limit is 1MiB)".
REQUEST_LIMIT = 1024 * 1024
NODE_RUN_PREFIX = "wfnr_"
# A run with one of these statuses doesn't accept updates. Node runs end as COMPLETED.
ENDED = frozenset({"SUCCESS", "FAILURE", "DECLINED", "COMPLETED"})


class RunStatus(StrEnum):
    """The ways in which a run can end."""

    SUCCESS = "success"
    FAILURE = "failure"
    FAILED = "failed"
    """Workflow node runs use FAILED where action runs use FAILURE. port-hook accepts either for both."""
    CANCELLED = "cancelled"
    """Only workflow node runs can end like this."""


class LogLevel(StrEnum):
    """The level of a log entry in a node run. The log entries of action runs have no level."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


MAX_NODE_LINKS = 3
"""The maximum number of links in a workflow node run."""

_ACTION_ENDS = {RunStatus.SUCCESS: "SUCCESS", RunStatus.FAILURE: "FAILURE", RunStatus.FAILED: "FAILURE"}
_NODE_RESULTS = {
    RunStatus.SUCCESS: "SUCCESS",
    RunStatus.FAILURE: "FAILED",
    RunStatus.FAILED: "FAILED",
    RunStatus.CANCELLED: "CANCELLED",
}


@unique
class Purpose(StrEnum):
    """The purpose of a call. A report makes its calls in this order."""

    READ = "read"
    LOG = "log"
    FIELDS = "fields"
    STATUS = "status"


@frozen(kw_only=True)
class Call:
    """One call to Port's API. `wanted` is the final status that the call sets, or None if it doesn't end the run."""

    purpose: Purpose
    run_id: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    wanted: str | None = None


@frozen(kw_only=True)
class RunReport:
    """The content of a report on a run. Empty fields are not sent."""

    status: RunStatus | None = None
    label: str | None = None
    summary: str | None = None
    links: tuple[str, ...] = ()
    external_run_id: str | None = None
    logs: tuple[str, ...] = ()
    log_level: LogLevel | None = None
    output: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> RunReport:
        """Return a report with the given fields, any of which may be missing. The status and the level are texts."""
        return cls(
            status=RunStatus(fields["status"]) if fields.get("status") else None,
            label=fields.get("label"),
            summary=fields.get("summary"),
            links=tuple(fields.get("links", ())),
            external_run_id=fields.get("external_run_id"),
            logs=tuple(fields.get("logs", ())),
            log_level=LogLevel(fields["log_level"]) if fields.get("log_level") else None,
            output=fields.get("output"),
        )

    @property
    def is_empty(self) -> bool:
        """Whether the report is empty."""
        return self == RunReport(log_level=self.log_level)


@frozen(kw_only=True)
class ReportPlan:
    """The calls of a report, and remarks for the user. Streamed logs are sent before `closing_logs`."""

    run_id: str
    logs: tuple[Call, ...] = ()
    closing_logs: tuple[Call, ...] = ()
    log_level: LogLevel | None = None
    fields: Call | None = None
    status: Call | None = None
    remarks: tuple[str, ...] = ()

    @property
    def last_calls(self) -> tuple[Call, ...]:
        """The calls after the log. The status comes last, because an ended run doesn't accept updates."""
        return (*self.closing_logs, *(call for call in (self.fields, self.status) if call is not None))


@frozen(kw_only=True)
class Reported:
    """What Port has accepted of a report: the number of log entries, the fields by Port's names, and the status."""

    run_id: str
    logs_sent: int = 0
    fields: tuple[str, ...] = ()
    status: str | None = None


def is_node_run(run_id: str) -> bool:
    """Return whether `run_id` is the ID of a node run, which has its own routes."""
    return run_id.startswith(NODE_RUN_PREFIX)


def run_path(run_id: str) -> str:
    """Return the API path of a run, with the ID percent-encoded."""
    base = "/v1/workflows/nodes/runs" if is_node_run(run_id) else "/v1/actions/runs"
    segment = quote(run_id, safe="")
    # The HTTP client would resolve `.` and `..` as relative path segments.
    return f"{base}/{segment if segment.strip('.') else segment.replace('.', '%2E')}"


def ended_status(run: Mapping[str, Any]) -> str | None:
    """Return the final status of a run from Port's API, or None if the run still accepts updates."""
    status = str(run.get("status"))
    return status if status in ENDED or run.get("endedAt") else None


def plan_report(run_id: str, report: RunReport) -> ReportPlan:
    """Return the calls that send `report`. Raises UsageError for a value that Port does not accept."""
    _check(report)
    if is_node_run(run_id):
        return _plan_node_run(run_id, report)
    _refuse_what_only_nodes_have(report)
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
        status=None if report.status is None else patch_call(run_id, {"status": _ACTION_ENDS[report.status]}),
    )


def patch_call(run_id: str, fields: Mapping[str, Any]) -> Call:
    """Return the call that sets `fields`. Its `purpose` and `wanted` say whether it ends the run."""
    end = fields.get("result") if is_node_run(run_id) else fields.get("status")
    purpose = Purpose.FIELDS if end is None else Purpose.STATUS
    return Call(purpose=purpose, run_id=run_id, method="PATCH", path=run_path(run_id), body=fields, wanted=end)


def log_calls(run_id: str, message: str, level: LogLevel | None = None) -> tuple[Call, ...]:
    """Return the calls that add `message` to the run's log. There are several if `message` does not fit into 1 MiB.

    `level` applies only to node runs. None means INFO.
    """
    path = f"{run_path(run_id)}/logs"
    return tuple(
        Call(purpose=Purpose.LOG, run_id=run_id, method="POST", path=path, body=_log_body(run_id, part, level))
        for part in split_log(message, envelope=_log_body(run_id, "", level))
    )


def _log_body(run_id: str, message: str, level: LogLevel | None) -> dict[str, Any]:
    if not is_node_run(run_id):
        return {"message": message}
    return {"logs": [{"level": (level or LogLevel.INFO).name, "message": message}]}


def _log_calls(run_id: str, messages: tuple[str, ...], level: LogLevel | None = None) -> tuple[Call, ...]:
    return tuple(call for message in messages for call in log_calls(run_id, message, level))


def _refuse_what_only_nodes_have(report: RunReport) -> None:
    if report.status is RunStatus.CANCELLED:
        raise UsageError("An action run cannot end as cancelled.", hint="Use --status failure.")
    if report.output is not None or report.log_level is not None:
        option = "--output" if report.output is not None else "--log-level"
        raise UsageError(f"{option} is for node runs (wfnr_…).", hint="For an action run, use --summary and --log.")


def _plan_node_run(run_id: str, report: RunReport) -> ReportPlan:
    if len(report.links) > MAX_NODE_LINKS:
        raise UsageError(
            f"A node run can have at most {MAX_NODE_LINKS} links, not {len(report.links)}.", hint="Omit some links."
        )
    told = [f"{name}: {text}" for name, text in (("Label", report.label), ("Summary", report.summary)) if text]
    # The API reference requires a status in every update. An unfinished node has the status IN_PROGRESS.
    fields = {
        "status": "IN_PROGRESS",
        "links": list(report.links) or None,
        "externalRunId": report.external_run_id,
        "output": None if report.status is not None else report.output,
    }
    sent = {name: value for name, value in fields.items() if value is not None}
    # A report that ends the node replaces the output of earlier reports, so the output is sent with the status.
    end = {"status": "COMPLETED", **({} if report.output is None else {"output": report.output})}
    return ReportPlan(
        run_id=run_id,
        logs=_log_calls(run_id, report.logs, report.log_level),
        log_level=report.log_level,
        closing_logs=_log_calls(run_id, tuple(told)),
        fields=patch_call(run_id, sent) if len(sent) > 1 else None,
        status=None if report.status is None else patch_call(run_id, end | {"result": _NODE_RESULTS[report.status]}),
        remarks=("a node run has no label and no summary, so they are sent as log lines",) if told else (),
    )


def _check(report: RunReport) -> None:
    if any(not message.strip() for message in report.logs):
        raise UsageError("A log message is empty.", hint="Pass a text to --log, or omit it.")
    for link in report.links:
        _check_link(link)


def _check_link(link: str) -> None:
    try:
        parts = urlsplit(link)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise UsageError(f"{link!r} is not a URL.", hint="Use a complete URL, such as https://ci.example.com/7.")


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Return the bytes of a call's body: compact JSON in UTF-8.

    A lone surrogate, which UTF-8 cannot encode, becomes `?`.
    """
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def split_log(message: str, limit: int = REQUEST_LIMIT, envelope: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Split `message` into parts, each of which fits into a request of at most `limit` bytes.

    The limit applies to the encoded request, in which a quote or a line feed takes two bytes and a control character
    takes six. A part ends after its last line feed, if it has one, and never inside a character. `envelope` is the
    request's body with an empty message, which defaults to the body for an action run's log. Raises ValueError if even
    a single character does not fit.
    """
    capacity = limit - len(encode_body({"message": ""} if envelope is None else envelope))
    parts = []
    start = 0
    while start < len(message):
        end = _furthest_end(message, start, capacity)
        if end < len(message):
            end = message.rfind("\n", start, end) + 1 or end
        parts.append(message[start:end])
        start = end
    return tuple(parts)


def _furthest_end(message: str, start: int, capacity: int) -> int:
    """Return the end of the longest slice from `start` that takes at most `capacity` bytes as a JSON string."""
    # A character takes at least one byte, so a slice with more than `capacity` characters cannot fit.
    longest = min(len(message), start + max(capacity, 0))
    fits = longest if _json_size(message[start:longest]) <= capacity else start  # usually, the whole message fits
    too_far = longest + 1
    while too_far - fits > 1:
        middle = (fits + too_far) // 2
        if _json_size(message[start:middle]) <= capacity:
            fits = middle
        else:
            too_far = middle
    if fits == start:
        raise ValueError("the limit is too small for a single character")
    return fits


def _json_size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - len('""')
