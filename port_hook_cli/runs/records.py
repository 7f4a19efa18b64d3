"""The versioned records of `report-run`, `restore` and `sandbox`, described in docs/reference/json-records.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from port_hook_cli.invocations.records import format_time
from port_hook_cli.retarget.entry import Entry
from port_hook_cli.runs.updates import Call, Reported

REPORT = "port-hook/report/1"
RESTORE = "port-hook/restore/1"
SANDBOX = "port-hook/sandbox/1"


def report_record(reported: Reported, *, page: str) -> dict[str, Any]:
    """Return what was reported as a record; `page` is the run's page in Port, or ""."""
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
    """Return the calls that a report would make as a record of the same schema."""
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


def restore_record(entry: Entry, outcome: str, words: str, *, dry_run: bool) -> dict[str, Any]:
    """Return how it went to put one action back; `words` say more than `outcome`."""
    return {
        "schema": RESTORE,
        "action": entry.identifier,
        "api_url": entry.api_url,
        "outcome": outcome,
        "message": words,
        "dry_run": dry_run,
    }


def sandbox_ready_record(url: str, client_id: str, client_secret: str) -> dict[str, Any]:
    """Return the first record of `sandbox --json`; the credentials are the sandbox's own."""
    return {
        "schema": SANDBOX,
        "type": "ready",
        "url": url,
        "client_id": client_id,
        "client_secret": client_secret,
    }


def sandbox_call_record(
    at: float, method: str, path: str, status: int, *, run_id: str | None, note: str
) -> dict[str, Any]:
    """Return one call that the sandbox answered; `at` is seconds since the epoch."""
    return {
        "schema": SANDBOX,
        "type": "call",
        "at": format_time(at),
        "method": method,
        "path": path,
        "status": status,
        "run_id": run_id,
        "note": note,
    }


def sandbox_run_record(at: float, run_id: str, action: str, status: str, note: str) -> dict[str, Any]:
    """Return one step in the life of a run that the sandbox started; `at` is seconds since the epoch."""
    return {
        "schema": SANDBOX,
        "type": "run",
        "at": format_time(at),
        "run_id": run_id,
        "action": action,
        "status": status,
        "note": note,
    }
