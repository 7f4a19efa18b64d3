"""The records of `listen --json` about the session, described in docs/reference/json-records.md."""

from __future__ import annotations

from typing import Any

from port_hook_cli.invocations.records import EVENT
from port_hook_cli.listener.policy import Tally
from port_hook_cli.tunnels.report import TunnelReport, tunnel_fields


def ready_event(*, url: str, public_url: str | None) -> dict[str, Any]:
    """Return the first record of `listen --json`: the URLs of the listener."""
    return {"schema": EVENT, "type": "ready", "url": url, "public_url": public_url}


def summary_event(tally: Tally, *, tunnel: TunnelReport | None = None) -> dict[str, Any]:
    """Return the last record of `listen --json`. `waiting` holds the latest 1,000 run ids at most."""
    return {
        "schema": EVENT,
        "type": "summary",
        "received": tally.received,
        "verified": tally.verified,
        "refused": tally.refused,
        "passed_over": tally.passed_over,
        "handler_failures": tally.handler_failures,
        "waiting": list(tally.waiting),
        "tunnel": None if tunnel is None else tunnel_fields(tunnel),
    }


def report_event(run_id: str, *, status: str | None, error: str | None) -> dict[str, Any]:
    """Return the record of a report that `--report` has sent, or of the reason why it was not sent."""
    return {"schema": EVENT, "type": "report", "run_id": run_id, "status": status, "error": error}


def run_event(run_id: str, *, status: str, label: str | None) -> dict[str, Any]:
    """Return the record of a change of a run that is followed."""
    return {"schema": EVENT, "type": "run", "run_id": run_id, "status": status, "status_label": label}


def run_log_event(run_id: str, message: str) -> dict[str, Any]:
    """Return the record of a log entry of a run that is followed."""
    return {"schema": EVENT, "type": "run_log", "run_id": run_id, "message": message}
