"""The log of an action run."""

from __future__ import annotations

import json

from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, check_query, read_body
from port_hook_cli.sandbox.runs import check_open, check_status, describe_update, find_run, run_response
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import shorten

_MAX_LOGS = 50


def list_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return up to 50 log entries, the oldest first."""
    check_query(request, max_limit=_MAX_LOGS)
    run, is_new = find_run(state, run_id)
    start = int(float(request.query.get("offset", "0")))
    logs = run.logs[start : start + int(float(request.query.get("limit", _MAX_LOGS)))]
    return run_response(run, is_new, {"runLogs": logs})


def add_log(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Add a log entry. Its `terminationStatus` ends the run.

    An ended run accepts a message alone: Port's GitHub action and execution agent send their last log after the status.
    """
    run, is_new = find_run(state, run_id)
    body = read_body(request, checks.RUN_LOG, required=("message",))
    if body.keys() & {"terminationStatus", "statusLabel"}:
        check_open(run)
    check_status(run, body.get("terminationStatus"))
    log = state.add_log(run, {"message": body["message"]})
    given = {"status": body.get("terminationStatus"), "statusLabel": body.get("statusLabel")}
    update = {name: value for name, value in given.items() if value is not None}
    if not run.ended:  # a log does not change when the run ended
        state.update_run(run, update)
    note = f"log {shorten(json.dumps(body['message'], ensure_ascii=False), 60)}"
    return run_response(
        run, is_new, {"runLog": log}, ", ".join(filter(None, (note, describe_update(update)))), status=201
    )
