"""Prism judges our commands' requests about workflows, and the sandbox's responses.

The document is a transcription of Port's workflow routes. It leaves open what Port's sources leave open, such as the
body of a response to an INPUT node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from tests.conformance.approved_workflow import approved_deployment
from tests.conformance.prism import behind
from tests.conftest import Run
from tests.port_clients import authorized
from tests.port_workflows_openapi import require_workflows_openapi
from tests.servers import handler

pytestmark = [pytest.mark.timeout(600), pytest.mark.enable_socket]

EXAMPLES = Path(__file__).parents[2] / "examples" / "workflows"
NODE_RUN_ID = "wfnr_QOz6WoOB1Q2lmhZZ"
RESERVED = {"x-port-reserved-usage": "true"}
REPORTS = (
    ("--log", "hi", "--log", "é \u2028"),
    ("--log", "careful", "--log-level", "warn"),
    ("--status", "success"),
    ("--status", "failed", "--summary", "s", "--label", "l"),
    ("--status", "cancelled"),
    ("--status", "success", "--output", '{"url": "https://x.example"}'),
    ("--output", "a.b=1"),
    ("--link", "https://ci.example.com/7", "--link", "https://x.example"),
    ("--link", "https://ci.example.com/7", "--external-run-id", "gh-7"),
)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """The transcription, with the one route of the actions' document that every client calls first."""
    file = tmp_path / "port-workflows-api.json"
    document = json.loads(json.dumps(require_workflows_openapi()))
    anything: dict[str, Any] = {"content": {"application/json": {"schema": {}}}}
    responses = {"200": {"description": "", **anything}}
    document["paths"]["/v1/auth/access_token"] = {
        "post": {"requestBody": anything, "responses": responses, "security": []}
    }
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize("flags", REPORTS, ids=range(len(REPORTS)))
def test_report_run_about_a_node_run_and_the_sandbox_follow_the_document(
    prism: Path, document: Path, run: Run, flags: tuple[str, ...]
) -> None:
    with behind(prism, document) as (sandbox, env):
        result = run("report-run", NODE_RUN_ID, *flags, env=env)
        assert (result.code, "refused" in result.err) == (0, False), result.err
        assert NODE_RUN_ID in sandbox.runs


@contextmanager
def calling(prism: Path, document: Path) -> Iterator[tuple[Sandbox, httpx.Client, dict[str, str]]]:
    """Yield a sandbox that runs workflows, a client of it through Prism, and the environment of our commands."""
    with (
        Renderer() as renderer,
        behind(prism, document, renders=renderer) as (sandbox, env),
        authorized(env) as client,
    ):
        yield sandbox, client, env


def accepted(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def test_workflow_calls_follow_the_document(prism: Path, document: Path) -> None:
    deploy = json.loads((EXAMPLES / "deploy_service.json").read_bytes())
    name = deploy["identifier"]
    with calling(prism, document) as (_, client, _env):
        assert accepted(client.post("/v1/workflows", json=deploy))["workflow"]["version"] == 1
        assert len(accepted(client.get("/v1/workflows"))["workflows"]) == 1
        assert accepted(client.get("/v1/workflows/self-service-triggers"))["triggers"]
        assert accepted(client.get(f"/v1/workflows/{name}"))["workflow"]["identifier"] == name
        assert accepted(client.put(f"/v1/workflows/{name}", json=deploy))["workflow"]["version"] == 2
        assert accepted(client.get(f"/v1/workflows/{name}/nodes/check"))["node"]["identifier"] == "check"
        accepted(client.delete(f"/v1/workflows/{name}"))
        assert client.get(f"/v1/workflows/{name}").status_code == 404


def test_whole_run_of_a_workflow_follows_the_document(prism: Path, document: Path, run: Run) -> None:
    with handler() as receiver, calling(prism, document) as (sandbox, client, env):
        accepted(client.post("/v1/workflows", json=approved_deployment(receiver.url)))
        started = accepted(client.post("/v1/workflows/approved/runs", json={"inputs": {"service": "cart"}}))
        run_id = started["workflowRun"]["identifier"]
        node_run_id = claimed(client)
        assert accepted(acknowledge(client, node_run_id)) == {"ok": True, "acked": True}
        assert acknowledge(client, node_run_id).status_code == 409
        logs = {"logs": [{"level": "INFO", "message": "Sending the request"}]}
        accepted(client.post(f"/v1/workflows/nodes/runs/{node_run_id}/logs", json=logs))
        reported = run("report-run", node_run_id, "--status", "success", "--output", "ok=true", env=env)
        assert reported.code == 0, reported.err
        asked = waiting_for(client, run_id, "ask")
        path = f"/v1/workflows/nodes/runs/{asked}"
        accepted(client.post(f"{path}/responses", json={"buttonIdentifier": "yes", "inputs": {}}))
        ended = until_ended(client, run_id)
        assert (ended["result"], len(ended["nodeRuns"])) == ("SUCCESS", 4)
        assert accepted(client.get(f"/v1/workflows/nodes/runs/{node_run_id}/logs"))["logs"]
        assert accepted(client.get(f"/v1/workflows/runs/{run_id}/logs"))["logs"]
        query: dict[str, Any] = {"workflowIdentifiers": ["approved", "other"], "results": ["SUCCESS"], "limit": 5}
        assert len(accepted(client.get("/v1/workflows/runs", params=query))["workflowRuns"]) == 1
        assert accepted(client.get("/v1/workflows/nodes/runs", params={"include": "nodeConfig"}))["nodeRuns"]
        assert run_id in sandbox.workflow_runs


@pytest.mark.parametrize("force", [{}, {"force": "true"}])
def test_canceled_run_follows_the_document(prism: Path, document: Path, force: dict[str, str]) -> None:
    with calling(prism, document) as (_, client, _env):
        accepted(client.post("/v1/workflows", json=approved_deployment("http://127.0.0.1:9")))
        started = accepted(client.post("/v1/workflows/approved/runs", json={"inputs": {"service": "cart"}}))
        path = f"/v1/workflows/runs/{started['workflowRun']['identifier']}"
        accepted(client.post(f"{path}/cancel", params=force))
        assert accepted(client.get(path))["workflowRun"]["result"] == "CANCELLED"
        assert client.post(f"{path}/cancel", params=force).status_code == 422


def test_trigger_via_port_follows_the_document(prism: Path, document: Path, run: Run, folder: Path) -> None:
    with handler() as receiver, calling(prism, document) as (_, client, env):
        tell = {"type": "WEBHOOK", "url": receiver.url, "body": {"service": "{{ .outputs.trigger.service }}"}}
        workflow = {
            "identifier": "tell",
            "nodes": [approved_deployment("")["nodes"][0], {"identifier": "tell", "config": tell}],
            "connections": [{"sourceIdentifier": "start", "targetIdentifier": "tell"}],
        }
        accepted(client.post("/v1/workflows", json=workflow))
        (folder / "tell.json").write_text(json.dumps(workflow))
        started = run("trigger", "tell.json", "--via-port", "--input", "service=é", "--wait", "30", "--json", env=env)
        assert (started.code, started.records[-1]["result"]) == (0, "SUCCESS"), started.err
        again = run("trigger", "tell.json#tell", "--with", "outputs=last", "--to", receiver.url, env=env)
        assert again.code == 0, again.err
    assert [json.loads(request.body) for request in receiver.requests] == [{"service": "é"}] * 2


def claimed(client: httpx.Client) -> str:
    """Return the ID of the node run that the agent claims, as soon as there is one."""
    body = {"installationId": "_PORT_EXEC_AGENT", "limit": 100}
    for _ in range(1000):
        found = accepted(client.post("/v1/workflows/runs/claim-pending", json=body, headers=RESERVED))["nodeRuns"]
        if found:
            return str(found[0]["identifier"])
    raise AssertionError("no node run waits for the agent")


def acknowledge(client: httpx.Client, node_run_id: str) -> httpx.Response:
    return client.patch("/v1/workflows/runs/ack", json={"nodeRunIdentifier": node_run_id}, headers=RESERVED)


def waiting_for(client: httpx.Client, run_id: str, node: str) -> str:
    """Return the node run ID of `node`, as soon as the workflow run reaches it."""
    for _ in range(1000):
        shown = accepted(client.get(f"/v1/workflows/runs/{run_id}"))["workflowRun"]["nodeRuns"]
        if shown[-1]["node"]["identifier"] == node:
            return str(shown[-1]["identifier"])
    raise AssertionError(f"the run does not come to {node}")


def until_ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    for _ in range(1000):
        shown: dict[str, Any] = accepted(client.get(f"/v1/workflows/runs/{run_id}"))["workflowRun"]
        if shown["status"] == "COMPLETED":
            return shown
    raise AssertionError("the run does not end")
