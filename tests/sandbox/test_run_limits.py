"""How many runs, and how many of their log entries, a sandbox retains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse
from port_hook_cli.sandbox.routes import respond
from port_hook_cli.sandbox.run import MAX_RUNS, Phase
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.sandbox.state_file import StateFile
from port_hook_cli.sandbox.workflows.book import MAX_LOGS
from port_hook_cli.workflows.nodes import NodeOutcome, NodeResult
from port_hook_cli.workflows.run import cancel, end_node
from tests.long_workflows import a_chain
from tests.sandboxes import a_sequence

QUESTION = {
    "type": "INPUT",
    "userInputs": {"buttons": [{"identifier": "yes"}]},
    "outlets": [{"identifier": "yes"}],
}
ASK = a_sequence({"identifier": "question", "config": QUESTION}, identifier="ask")


def a_state() -> SandboxState:
    state = SandboxState(now=lambda: 1_700_000_000.0)
    state.workflows.put(ASK, org="org_1", by="tests")
    return state


def call(state: SandboxState, method: str, path: str, body: Mapping[str, Any] | None = None) -> ApiResponse:
    """Call a route of the sandbox without its server."""
    content = b"" if body is None else json.dumps(body).encode()
    segments = tuple(path.split("/")[1:])
    return respond(
        state, ApiRequest(method=method, segments=segments, token=state.issue_token(), body=content, reserved=True)
    )


def started(state: SandboxState) -> str:
    """Start a run of the workflow, which then waits for its INPUT node's walk."""
    run = call(state, "POST", "/v1/workflows/ask/runs", {"inputs": {}}).document["workflowRun"]
    return str(run["identifier"])


def cancelled(state: SandboxState, run_id: str) -> str:
    assert call(state, "POST", f"/v1/workflows/runs/{run_id}/cancel").status == 200
    return run_id


def saved_rows(state: SandboxState, file: Path) -> dict[tuple[str, str], Any]:
    with StateFile.open(file) as opened:
        opened.write(state.changes())
        return {(kind, key): value for kind, key, value in opened.rows()}


def test_oldest_ended_workflow_run_is_deleted_with_its_node_runs_and_logs(tmp_path: Path) -> None:
    state = a_state()
    waits, ended = started(state), cancelled(state, started(state))
    node_run = state.workflows.runs[ended].node_runs[-1].id
    state.workflows.report(node_run, logs=({"level": "INFO", "message": "hi"},))
    second, *_ = (started(state) for _ in range(MAX_RUNS - 1))
    assert len(state.workflows.runs) == MAX_RUNS
    assert (waits in state.workflows.runs, ended in state.workflows.runs) == (True, False)
    assert call(state, "GET", f"/v1/workflows/runs/{ended}").status == 404
    assert state.workflows.find_node_run(node_run) is None
    assert state.workflows.reports == {}
    rows = saved_rows(state, tmp_path / "state.db")
    assert [key for key, value in rows.items() if ended in key or node_run in key or ended in json.dumps(value)] == []
    again = a_state()
    again.restore([(kind, key, value) for (kind, key), value in rows.items()])
    assert again.workflows.runs == state.workflows.runs
    started(state)  # now all are in progress
    assert len(state.workflows.runs) == MAX_RUNS
    assert (waits in state.workflows.runs, second in state.workflows.runs) == (False, True)


def test_step_of_a_run_saves_only_its_changes() -> None:
    state = a_state()
    state.workflows.put(a_chain("http://127.0.0.1:1"), org="org_1", by="tests")
    begun = call(state, "POST", "/v1/workflows/chain/runs", {"inputs": {}}).document["workflowRun"]["identifier"]
    run = state.workflows.runs[begun]
    for number in range(20):
        ended = NodeOutcome(result=NodeResult.SUCCESS, output={"number": number})
        run = end_node(run, ended, at="2023-11-14T22:13:20.000Z", next_id=f"wfnr_{number:016d}")
        state.clear_changes()
        state.workflows.save(run)
        changed = [(kind, key) for kind, key, _ in state.changes()]
        assert changed == [("node_run", each.id) for each in run.node_runs[-2:]]
    state.clear_changes()
    state.workflows.save(cancel(run, at="2023-11-14T22:13:20.000Z"))
    assert [kind for kind, _, _ in state.changes()] == ["workflow_run", "node_run"]


def test_node_run_log_retains_the_latest_entries() -> None:
    state = a_state()
    node_run = state.workflows.runs[started(state)].node_runs[-1].id
    path = f"/v1/workflows/nodes/runs/{node_run}/logs"
    for first in range(0, MAX_LOGS + 200, 200):
        logs = [{"level": "INFO", "message": str(number)} for number in range(first, first + 200)]
        assert call(state, "POST", path, {"logs": logs}).status == 201
    kept = call(state, "GET", path).document["logs"]
    assert (len(kept), kept[0]["message"], kept[-1]["message"]) == (MAX_LOGS, "200", str(MAX_LOGS + 199))


def test_node_run_log_retains_4_mi_characters() -> None:
    state = a_state()
    node_run = state.workflows.runs[started(state)].node_runs[-1].id
    for number in range(6):
        logs = [{"logLevel": "INFO", "log": str(number) * 1_000_000}]
        assert call(state, "PATCH", f"/v1/workflows/nodes/runs/{node_run}", {"logs": logs}).status == 200
    kept = call(state, "GET", f"/v1/workflows/nodes/runs/{node_run}/logs").document["logs"]
    assert [log["message"][0] for log in kept] == ["2", "3", "4", "5"]


def test_oldest_ended_action_run_is_deleted_with_its_logs(tmp_path: Path) -> None:
    state = a_state()
    waits, ended = f"r_{'w' * 16}", f"r_{'e' * 16}"
    state.add_run(waits)
    call(state, "POST", f"/v1/actions/runs/{ended}/logs", {"message": "done", "terminationStatus": "SUCCESS"})
    for number in range(MAX_RUNS - 1):
        state.add_run(f"r_{number:016d}")
    assert len(state.runs) == MAX_RUNS
    assert (waits in state.runs, ended in state.runs) == (True, False)
    rows = saved_rows(state, tmp_path / "state.db")
    assert [key for key in rows if ended in key[1]] == []


def test_action_run_with_a_request_in_progress_is_not_deleted() -> None:
    cases: list[Phase] = [Phase.PENDING, Phase.SENDING]
    for phase in cases:
        state = a_state()
        sends, waits = f"r_{'s' * 16}", f"r_{'w' * 16}"
        state.add_run(sends, phase=phase)
        state.add_run(waits)
        for number in range(MAX_RUNS - 1):
            state.add_run(f"r_{number:016d}")
        assert (sends in state.runs, waits in state.runs) == (True, False)
