"""The text and the records of `report-run`, and the `report-run` command that other commands suggest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from port_hook_cli.invocations.models import Kind, Payload
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.runs.updates import Call, Reported

# A short ID that is not an option and has no special characters of a shell. All of Port's IDs and most external IDs
# match.
_TYPEABLE = r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}\Z"


def report_command(run_id: str, *, failed: bool) -> str:
    """Return the command that reports the end of a run, or "" for an ID that is not safe to paste into a shell.

    `failed` means that the response was not a 2xx response. After a 2xx response, the work may still fail. The text
    around the command must say so. A comment on the same line would be pasted too, and would make the line wider than
    80 columns.
    """
    status = "failure" if failed else "success"
    return f"port-hook report-run {run_id} --status {status}" if re.match(_TYPEABLE, run_id) else ""


def fate_message(fate: RunFate, payload: Payload, *, is_good: bool) -> str:
    """Return a clause about how a response affects a run, or "" without a run. `is_good` means a 2xx response."""
    is_node = payload.kind is Kind.WORKFLOW_NODE
    result = "SUCCESS" if is_good else "FAILED" if is_node else "FAILURE"
    if fate in {RunFate.SUCCESS, RunFate.FAILURE}:
        if payload.synchronized:
            return f"the {'node' if is_node else 'run'} is synchronized: this response ends it as {result}"
        return f"Port's execution agent sent this: it reports {result} for this response"
    return {
        RunFate.WAITS: f"the run {RunFate.WAITS}",
        RunFate.DEPENDS: f"a synchronized run ends with this response ({result}), and any other run {RunFate.WAITS}",
        RunFate.NODE_DEPENDS: (
            f"a synchronized node, which is the default, ends with this response ({result}), and any other node "
            f"{RunFate.WAITS}"
        ),
        RunFate.NODE_FAILS: (
            "this response ends the node as FAILED. Port does not document this for an asynchronous node"
        ),
    }.get(fate, "")


def message_fate(payload: Payload) -> str:
    """Return a clause about what ends a Kafka message's run, or "" without a run.

    A response alone never ends the run.
    """
    if payload.run_id is None or payload.kind is Kind.CHANGE_LOG:
        return ""
    if payload.via_agent and payload.synchronized:
        return "the run is synchronized: Port's execution agent reports the response to its own request, which ends it"
    handler = "handler" if payload.via_agent else "consumer of the topic"
    return f"the run {RunFate.WAITS.replace('handler', handler)}"


def format_reported(reported: Reported, page: str) -> str:
    """Return a confirmation: the run and what Port accepted, and on the next line the URL of the run's page, if any."""
    logs = reported.logs_sent
    told = [f"{logs} log {'entry' if logs == 1 else 'entries'}"] if logs else []
    told += reported.fields
    told += [f"status {reported.status}"] if reported.status else []
    line = f"{printable(reported.run_id)}: reported {', '.join(told) or 'nothing'}"
    return f"{line}\n{printable(page)}" if page else line


def format_call(call: Call, api_url: str) -> str:
    """Return a call as its method and URL, with its body on the next line."""
    from port_hook_cli.runs.updates import encode_body  # only commands that report need this

    body = printable(encode_body(call.body or {}).decode())
    return f"{call.method} {printable(api_url + call.path)}\n{body}"


REPORT = "port-hook/report/1"


def report_record(reported: Reported, *, page: str) -> dict[str, Any]:
    """Return the record of a report. `page` is the URL of the run's page in Port, or ""."""
    return {
        "schema": REPORT,
        "run_id": reported.run_id,
        "status": reported.status,
        "logs_sent": reported.logs_sent,
        "fields": list(reported.fields),
        "page": page or None,
        "dry_run": False,
    }


def dry_run_record(run_id: str, calls: Iterable[Call], *, api_url: str) -> dict[str, Any]:
    """Return the record of the calls that a report would make, in the same schema."""
    shown = [{"method": call.method, "url": api_url + call.path, "body": call.body} for call in calls]
    return {
        "schema": REPORT,
        "run_id": run_id,
        "status": None,
        "logs_sent": 0,
        "fields": [],
        "page": None,
        "dry_run": True,
        "calls": shown,
    }


def pending_record(reported: Reported, *, page: str, outcome: str, message: str) -> dict[str, Any]:
    """Return the record of a saved report, in the same schema, with its current outcome."""
    return {**report_record(reported, page=page), "outcome": outcome, "message": message or None}
