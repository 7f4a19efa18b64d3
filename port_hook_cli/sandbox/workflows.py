"""Runs of workflow nodes: updates, logs, and the agent's claim on those that wait for it.

The sandbox runs no workflows: a node's run is made up when its id is first used, or added by a test.
"""

from __future__ import annotations

from typing import Any

from port_hook_cli.runs.updates import is_node_run
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.agent import claim
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, read_body
from port_hook_cli.sandbox.run import SandboxRun
from port_hook_cli.sandbox.runs import check_open, find_run, shown, update
from port_hook_cli.sandbox.state import SandboxState


def update_node_run(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Return the answer to a PATCH of a node's run."""
    return update(state, request, run_id, checks.NODE_PATCH)


def add_node_logs(state: SandboxState, request: ApiRequest, run_id: str) -> ApiResponse:
    """Add entries to the log of a node's run."""
    run, made_up = find_run(state, run_id)
    body = read_body(request, checks.NODE_LOGS, required=("logs",))
    check_open(run)
    logs = [state.add_log(run, log) for log in body["logs"]]
    return shown(run, made_up, {"logs": logs}, f"{len(logs)} logs", status=201)


def claim_node_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Give the agent the node runs that wait for it."""
    body = read_body(request, checks.CLAIM, required=("installationId",))
    claimed = claim(state, body, lambda run: is_node_run(run.id))
    return ApiResponse(
        status=200, document={"ok": True, "nodeRuns": [_for_agent(run) for run in claimed]}, note=_count(claimed)
    )


def _for_agent(run: SandboxRun) -> dict[str, Any]:
    config = {name: value for name, value in (run.payload or {}).items() if name != "workflowRun"}
    workflow = (run.payload or {}).get("workflowRun", f"wfr_{run.id.partition('_')[2]}")
    return {**run.document(), "node": {"config": config}, "workflowRun": {"identifier": workflow}}


def _count(claimed: list[SandboxRun]) -> str:
    return f"gave the agent {len(claimed)} node runs" if claimed else "no node run waits for the agent"
