"""INTEGRATION_ACTION runs and node runs, which only their integration can claim, with the calls of Ocean 0.56.2."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.trigger.open_invoker import SandboxInvoker, invoking
from tests.factories import SECRET
from tests.sandbox import action_runs
from tests.sandbox.action_runs import Steps
from tests.sandbox.claims import AGENT, RESERVED, claim, claim_nodes
from tests.sandbox.workflow_runs import ended, run_workflow, running, started, waiting
from tests.sandbox_clients import rejection, token_of
from tests.sandboxes import one_node
from tests.servers import NO_TLS


def dispatch(installation: str, identifier: str = "dispatch") -> dict[str, Any]:
    method = {
        "type": "INTEGRATION_ACTION",
        "installationId": installation,
        "integrationActionType": "dispatch_workflow",
        "integrationActionExecutionProperties": {"repo": "{{ .inputs.title }}", "cpu": "{{ .inputs.cpu }}"},
    }
    return {**create_vm_action(), "identifier": identifier, "invocationMethod": method}


def by_agent() -> dict[str, Any]:
    action = create_vm_action()
    return {**action, "invocationMethod": {**action["invocationMethod"], "url": "https://x.example/", "agent": True}}


def a_workflow(**config: Any) -> dict[str, Any]:
    config = {
        "type": "INTEGRATION_ACTION",
        "installationId": "mine",
        "integrationProvider": "github",
        "integrationInvocationType": "dispatch_workflow",
        "integrationActionExecutionProperties": {"name": "{{ .workflow.identifier }}"},
        **config,
    }
    return one_node(**config)


@asynccontextmanager
async def sandbox_of(*actions: dict[str, Any]) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient, Steps]]:
    """Yield a sandbox that renders templates, a client, and the steps of its runs."""
    steps = Steps()
    with invoking(lambda: SECRET) as invoker:
        serving = action_runs.running(*actions, invoker=SandboxInvoker(invoker), on_run=steps)
        async with serving as (sandbox, client):
            yield sandbox, client, steps


async def start(client: httpx.AsyncClient, steps: Steps, action: str) -> str:
    """Start a run and return its ID when it can be claimed."""
    run_id = await action_runs.start(client, f"/v1/actions/{action}/runs")
    await steps.reach("waiting for")
    return run_id


async def test_each_claimer_gets_only_its_own_runs() -> None:
    async with sandbox_of(dispatch("mine"), dispatch("theirs", "other"), by_agent()) as (_, client, steps):
        mine = await start(client, steps, "dispatch")
        theirs = await start(client, steps, "other")
        agents = await start(client, steps, "create_vm")
        (claimed,) = await claim(client, installationId="mine")
        assert claimed["id"] == mine
        assert await claim(client, installationId="unknown") == []
        assert [run["id"] for run in await claim(client, installationId=AGENT, invocationMethod="WEBHOOK")] == [agents]
        assert await claim(client, installationId=AGENT) == []
        assert [run["id"] for run in await claim(client, installationId="theirs")] == [theirs]


async def test_claimed_run_has_the_rendered_invocation_method_and_ends_with_a_report() -> None:
    async with sandbox_of(dispatch("mine")) as (sandbox, client, steps):
        run_id = await start(client, steps, "dispatch")
        (run,) = await claim(client, installationId="mine", visibilityTimeoutMs=60000)
        assert run["payload"] == {
            "type": "INTEGRATION_ACTION",
            "installationId": "mine",
            "integrationActionType": "dispatch_workflow",
            "integrationActionExecutionProperties": {"repo": "dev-env", "cpu": 2},
        }
        assert {"identityToken", "portAccessToken", "executionIdentity"}.isdisjoint(run)
        assert await claim(client, installationId="mine") == []
        acked = await client.patch("/v1/actions/runs/ack", json={"runId": run_id}, headers=RESERVED)
        assert acked.json()["ackedCount"] == 1
        await client.patch(f"/v1/actions/runs/{run_id}", json={"link": "https://x", "externalRunId": "e1"})
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS", "statusLabel": "Done"})
        assert (await action_runs.ended(sandbox, run_id)).report.status == "SUCCESS"


async def test_run_fails_when_its_action_has_no_installation_id() -> None:
    action = dispatch("mine")
    del action["invocationMethod"]["installationId"]
    async with sandbox_of(action) as (sandbox, client, _):
        run_id = await action_runs.start(client, "/v1/actions/dispatch/runs")
        run = await action_runs.ended(sandbox, run_id)
    assert run.report.status == "FAILURE"
    assert "installationId" in (run.report.summary or "")


async def test_node_is_claimed_by_its_integration_alone_and_ends_with_its_report(renderer: Renderer) -> None:
    async with running(renderer, a_workflow()) as (sandbox, client):
        run_id = await started(client)
        node_run_id = await waiting(sandbox, run_id)
        assert sandbox.workflow_runs[run_id].result is None
        for other in (AGENT, "theirs"):
            assert await claim_nodes(client, installationId=other) == []
        (claimed,) = await claim_nodes(client, installationId="mine")
        assert (claimed["identifier"], claimed["installationId"]) == (node_run_id, "mine")
        assert claimed["config"]["integrationActionExecutionProperties"] == {"name": "one"}
        assert await claim_nodes(client, installationId="mine") == []
        ack = await client.patch("/v1/workflows/runs/ack", json={"nodeRunIdentifier": node_run_id}, headers=RESERVED)
        assert ack.status_code == 200
        path = f"/v1/workflows/nodes/runs/{node_run_id}"
        begun = {"status": "IN_PROGRESS", "externalRunId": "e1", "output": {"workflowRunUrl": "https://x"}}
        assert (await client.patch(path, json=begun)).status_code == 200
        assert sandbox.workflow_runs[run_id].result is None
        report = {"status": "COMPLETED", "result": "SUCCESS", "output": {"id": 1}, "statusLabel": {"text": "Done"}}
        assert (await client.patch(path, json=report)).status_code == 200
        run = await ended(sandbox, run_id)
    assert (run.result, run.node_runs[-1].output) == ("SUCCESS", {"id": 1})


async def test_node_fails_when_it_has_no_installation_id(renderer: Renderer) -> None:
    run, _ = await run_workflow(renderer, a_workflow(installationId=""))
    assert run.result == "FAILED"
    assert "installationId" in run.node_runs[-1].output["error"]["message"]


async def test_node_can_be_claimed_after_a_restart_with_its_status_label(renderer: Renderer, tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    async with running(renderer, a_workflow(), state=state) as (sandbox, client):
        node_run_id = await waiting(sandbox, await started(client))
        label = {"statusLabel": {"text": "Rate limited"}}
        assert (await client.patch(f"/v1/workflows/nodes/runs/{node_run_id}", json=label)).status_code == 200
    async with running(renderer, a_workflow(), state=state) as (_, client):
        (claimed,) = await claim_nodes(client, installationId="mine")
    assert (claimed["identifier"], claimed["statusLabel"]) == (node_run_id, {"text": "Rate limited"})


async def test_status_label_of_a_node_run_needs_a_text(renderer: Renderer) -> None:
    async with running(renderer, a_workflow()) as (sandbox, client):
        node_run_id = await waiting(sandbox, await started(client))
        labels: list[Any] = ["Done", {}, {"text": 1}, None]
        for label in labels:
            call = client.patch(f"/v1/workflows/nodes/runs/{node_run_id}", json={"statusLabel": label})
            assert (await rejection(call))[2] == "body/statusLabel must be object with a text"


async def test_status_label_of_an_unknown_node_run_is_shown(renderer: Renderer) -> None:
    async with running(renderer, a_workflow()) as (_, client):
        path = "/v1/workflows/nodes/runs/wfnr_0123456789abcdef"
        assert (await client.patch(path, json={"statusLabel": {"text": "Running"}})).status_code == 200
        assert (await client.get(path)).json()["nodeRun"]["statusLabel"] == {"text": "Running"}


async def test_token_is_a_json_web_token_of_a_machine() -> None:
    """Ocean decodes the token, and processes actions only if it has `isMachine`."""
    async with Sandbox.start() as sandbox, httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client:
        header, claims, _ = (await token_of(client, sandbox)).split(".")
        assert json.loads(base64.urlsafe_b64decode(f"{header}==="))["typ"] == "JWT"
        told = json.loads(base64.urlsafe_b64decode(f"{claims}==="))
        assert (told["isMachine"], told["orgId"]) == (True, sandbox.organization)
        changed = base64.urlsafe_b64encode(json.dumps({**told, "exp": told["exp"] + 1}).encode()).decode().rstrip("=")
        for token in (f"{header}.{changed}.x", f"{header}.{changed}.", "a.b.c", "."):
            response = await client.get("/v1/actions", headers={"authorization": f"Bearer {token}"})
            assert response.status_code == 401
