"""Node runs that belong to no workflow of the sandbox: created when their id is first used, or added by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.agent import claim
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, read_body
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.runs import find_run, run_response, update
from port_hook_cli.sandbox.state import SandboxState


def update_node_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a PATCH of a node run."""
    response = update(state, request, run_id, checks.NODE_PATCH)
    run, _ = find_run(state, run_id)
    for log in logged(read_body(request, checks.NODE_PATCH)):
        state.add_log(run, log)
    return response


def counted_logs(count: int) -> str:
    """Return the number of entries that a call added to a log, for the terminal."""
    return f"{count} log {'entry' if count == 1 else 'entries'}"


def logged(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the `logs` of a PATCH, which have the form of Port's draft of its API, as the logs route has them."""
    return [{"level": log["logLevel"], "message": log.get("log", "")} for log in body.get("logs", ())]


def show_node_run(state: SandboxState, run_id: str) -> ApiResponse:
    """Return the response to a GET of a node run; the route is the sandbox's own."""
    run, is_new = find_run(state, run_id)
    return run_response(run, is_new, {"nodeRun": run.document()})


def add_node_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Add entries to the log of a node run, even of an ended one, as `node_runs.add_logs` does."""
    run, is_new = find_run(state, run_id)
    body = read_body(request, checks.NODE_LOGS, required=("logs",))
    logs = [state.add_log(run, log) for log in body["logs"]]
    return run_response(run, is_new, {"logs": logs}, counted_logs(len(logs)), status=201)


def list_node_logs(state: SandboxState, run_id: str) -> ApiResponse:
    """Return the log of a node run, with the name that Port's own CLI reads; a log of an action run has another."""
    run, is_new = find_run(state, run_id)
    return run_response(run, is_new, {"logs": run.logs})


def claimed(state: SandboxState, body: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Return up to `limit` node runs that wait for the agent, now claimed."""
    if limit < 1:
        return []
    return [_for_agent(run) for run in claim(state, {**body, "limit": limit}, lambda run: is_node_run(run.id))]


def _for_agent(run: SandboxRun) -> dict[str, Any]:
    config = {name: value for name, value in (run.invocation.payload or {}).items() if name != "workflowRun"}
    workflow = (run.invocation.payload or {}).get("workflowRun", f"wfr_{run.id.partition('_')[2]}")
    return {**run.document(), "config": config, "node": {"config": config}, "workflowRun": {"identifier": workflow}}
