"""The versioned records of `report-run`, `restore` and `sandbox`, described in docs/reference/json-records.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from port_hook_cli.runs.updates import Call, Reported

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
    """Return the record of a report that was kept, in the same schema, with what happened to it now."""
    return {**report_record(reported, page=page), "outcome": outcome, "message": message or None}
