"""Typical handlers of workflow nodes, run unchanged against the sandbox, `trigger` and `listen`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.handlers.handlers import (
    BY_IDS,
    SIGNED_ALONE,
    Records,
    a_program,
    a_sandbox_process,
    environ_for,
    one_webhook,
    run_program,
    start_workflow,
    until,
    workflow_run,
)

INPUTS = {"name": "zoë", "replicas": 2}
WAITS = {"synchronized": False, "body": {"context": BY_IDS, "payload": {"name": "{{ .outputs.trigger.name }}"}}}


def written(folder: Path, document: Mapping[str, Any]) -> str:
    """Write a workflow's file and return its name."""
    (folder / "workflow.json").write_text(json.dumps(document), "utf-8")
    return "workflow.json"


def given(inputs: Mapping[str, Any] = INPUTS) -> list[str]:
    return [text for name, value in inputs.items() for text in ("--input", f"{name}={value}")]


def has_ended(note: str) -> bool:
    return note.startswith("scale ended with")


# A handler that reports the node by `context.workflowRunId` and `context.nodeRunId`.


@pytest.mark.parametrize("route", ["reference", "page"])
def test_sandbox_ends_a_reported_node_by_either_documented_route(
    sandbox: Records, client: httpx.Client, route: str
) -> None:
    with a_program("reports_by_ids.py", route, env=environ_for(sandbox.ready)) as url:
        run_id = start_workflow(client, one_webhook(url, **WAITS), **INPUTS)
        until(sandbox, run_id, has_ended)
        found = workflow_run(client, run_id)
        logs = client.get(f"/v1/workflows/runs/{run_id}/logs").json()["logs"]
    assert (found["result"], found["nodeRuns"][-1]["output"]) == ("SUCCESS", {"id": "d-1"})
    assert [log["message"] for log in logs] == (["done"] if route == "page" else [])


def test_sandbox_note_has_the_route_of_the_api_reference(sandbox: Records, client: httpx.Client) -> None:
    with a_program("reports_by_ids.py", "page", env=environ_for(sandbox.ready)) as url:
        run_id = start_workflow(client, one_webhook(url, **WAITS), **INPUTS)
        while not (record := sandbox.record()).get("path", "").startswith(f"/v1/workflows/runs/{run_id}/nodes/"):
            pass
    assert "API reference does not list this route" in record["note"]
    own, other = (start_workflow(client, one_webhook(url, **WAITS), **INPUTS) for _ in range(2))
    node_run = workflow_run(client, own)["nodeRuns"][-1]["identifier"]
    wrong = client.patch(f"/v1/workflows/runs/{other}/nodes/{node_run}", json={"status": "IN_PROGRESS"})
    assert wrong.status_code == 404


@pytest.mark.parametrize(
    ("route", "options"),
    [
        ("page", ()),
        ("reference", ("--strict",)),
    ],
)
def test_trigger_waits_for_the_result_by_either_documented_route(
    tmp_path: Path, folder: Path, run: Run, route: str, options: tuple[str, ...]
) -> None:
    with a_sandbox_process(tmp_path, *options) as sandbox:
        environ = environ_for(sandbox.ready)
        with a_program("reports_by_ids.py", route, env=environ) as url:
            name = written(folder, one_webhook("https://example.com/scale", **WAITS))
            result = run("trigger", name, "--to", url, *given(), "--wait", "20", env=environ)
    assert (result.code, result.err) == (0, "")
    assert '{"id":"d-1"}' in result.out


# A synchronous handler, whose response becomes the node's output.


@pytest.mark.parametrize(
    ("path", "result", "output"),
    [
        ("/json", "SUCCESS", {"response": {"status": 200, "data": {"replicas": 3, "name": "zoë"}}}),
        pytest.param("/text", "SUCCESS", {"response": {"status": 200, "data": "scaled"}}, marks=pytest.mark.extended),
        pytest.param("/empty", "SUCCESS", {"response": {"status": 200, "data": {}}}, marks=pytest.mark.extended),
        ("/failing", "FAILED", {"error": {"message": "The webhook responded with status 503."}}),
    ],
)
def test_synchronous_response_is_the_output_in_sandbox_and_trigger(
    sandbox: Records, client: httpx.Client, folder: Path, run: Run, path: str, result: str, output: dict[str, Any]
) -> None:
    with a_program("synchronous_node.py") as url:
        run_id = start_workflow(client, one_webhook(url + path), **INPUTS)
        until(sandbox, run_id, has_ended)
        found = workflow_run(client, run_id)
        name = written(folder, one_webhook(f"https://example.com{path}"))
        triggered = run("trigger", name, "--to", url, *given(), "--json", env=SIGNED_ALONE)
    assert (found["result"], found["nodeRuns"][-1]["output"]) == (result, output)
    last = [record for record in triggered.records if record["type"] == "node"][-1]
    assert (last["result"], last["output"]) == (result, output)
    assert triggered.code == (ExitCode.OK if result == "SUCCESS" else ExitCode.FAILED)


def test_sandbox_hint_has_the_option_for_a_handler_of_milliseconds(sandbox: Records, client: httpx.Client) -> None:
    with a_program("millisecond_clock.py", env=environ_for(sandbox.ready)) as url:
        note = until(sandbox, start_workflow(client, one_webhook(url), **INPUTS), has_ended)
    assert note.endswith("try `port-hook sandbox --timestamp-unit ms`.")


# Port's execution agent in its polling mode.


@pytest.mark.parametrize(
    ("synchronized", "path", "result"),
    [
        (True, "/empty", "SUCCESS"),
        pytest.param(True, "/failing", "FAILED", marks=pytest.mark.extended),
        pytest.param(False, "/empty", None, marks=pytest.mark.extended),
    ],
)
def test_agent_claims_sends_and_reports_a_node(
    sandbox: Records, client: httpx.Client, synchronized: bool, path: str, result: str | None
) -> None:
    with a_program("synchronous_node.py") as url:
        document = one_webhook(url + path, agent=True, synchronized=synchronized, headers={"X-Team": "a"})
        run_id = start_workflow(client, document, **INPUTS)
        until(sandbox, run_id, lambda note: "waits for Port's agent" in note)
        calls = [line for line in run_program("agent_nodes.py", env=environ_for(sandbox.ready)) if "token" not in line]
        if result is not None:
            until(sandbox, run_id, has_ended)
        found = workflow_run(client, run_id)
        again = [line for line in run_program("agent_nodes.py", env=environ_for(sandbox.ready)) if "token" not in line]
    node_run = found["nodeRuns"][-1]
    assert calls[:2] == ["POST /v1/workflows/runs/claim-pending 200", "PATCH /v1/workflows/runs/ack 200"]
    assert f"POST {url}{path} {503 if path == '/failing' else 200}" in calls
    assert (node_run["result"], found["result"]) == (result, result)
    assert again == ["POST /v1/workflows/runs/claim-pending 200"]  # it is not claimed twice
    reports = [call.split()[-1] for call in calls if call.startswith("PATCH /v1/workflows/nodes/runs/")]
    # The published agent reports a failure twice. What Port responds to the second is not documented.
    assert reports == {"SUCCESS": ["200"], "FAILED": ["200", "422"], None: []}[result]
    if result == "SUCCESS":
        assert node_run["output"] == {"response": {"status": 200, "data": {}}}
