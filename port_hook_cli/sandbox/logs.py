"""The log of an action run."""

from __future__ import annotations

import json

from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, check_query, read_body
from port_hook_cli.sandbox.runs import check_open, check_status, find_run, shown, told
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import shorten

_MOST_LOGS = 50


def list_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return up to 50 entries, the oldest first."""
    check_query(request, most=_MOST_LOGS)
    run, made_up = find_run(state, run_id)
    start = int(float(request.query.get("offset", "0")))
    logs = run.logs[start : start + int(float(request.query.get("limit", _MOST_LOGS)))]
    return shown(run, made_up, {"runLogs": logs})


def add_log(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Add an entry, which may end the run."""
    run, made_up = find_run(state, run_id)
    body = read_body(request, checks.RUN_LOG, required=("message",))
    check_open(run)
    check_status(run, body.get("terminationStatus"))
    log = state.add_log(run, {"message": body["message"]})
    given = {"status": body.get("terminationStatus"), "statusLabel": body.get("statusLabel")}
    update = {name: value for name, value in given.items() if value is not None}
    state.update_run(run, update)
    note = f"log {shorten(json.dumps(body['message'], ensure_ascii=False), 60)}"
    return shown(run, made_up, {"runLog": log}, ", ".join(filter(None, (note, told(update)))), status=201)
