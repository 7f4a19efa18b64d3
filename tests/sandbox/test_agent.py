from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from port_hook_cli.sandbox import Sandbox
from port_hook_cli.sandbox.run import Phase
from tests.factories import NOW, RUN_ID
from tests.sandbox.action_runs import Steps, an_action, running, start
from tests.sandbox.claims import AGENT, CLAIM, RESERVED, claim
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with


@asynccontextmanager
async def waiting(url: str, clock: list[float] | None = None) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient, str]]:
    """Yield a sandbox with a run that waits for the agent."""
    steps = Steps()
    now = clock or [NOW]
    action = an_action(url, method={"agent": True, "synchronized": True, "headers": {"X-Team": "a"}})
    async with running(action, now=lambda: now[0], on_run=steps) as (sandbox, client):
        run_id = await start(client, body={"properties": {"title": "zoë"}})
        await steps.reach("agent")
        yield sandbox, client, run_id


async def ack(client: httpx.AsyncClient, *run_ids: str) -> int:
    body = {"runIds": list(run_ids)}
    response = await client.patch("/v1/actions/runs/ack", json=body, headers=RESERVED)
    return int(response.json()["ackedCount"])


async def test_claim_expires_when_it_is_not_acknowledged() -> None:
    clock = [NOW]
    async with waiting("https://example.com/hook", clock) as (_, client, run_id):
        (run,) = await claim(client, **CLAIM)
        assert (run["id"], run["pendingExecution"], run["installationId"]) == (run_id, True, "_PORT_EXEC_AGENT")
        assert run["claimedUntil"]
        assert run["payload"]["agent"] is True
        assert await claim(client, **CLAIM) == []
        clock[0] += 60
        assert [run["id"] for run in await claim(client, **CLAIM)] == [run_id]
        assert await ack(client, run_id, run_id, "r_unknown") == 1
        assert await ack(client, run_id) == 0
        clock[0] += 60
        assert await claim(client, **CLAIM) == []
        assert "pendingExecution" not in (await client.get(f"/v1/actions/runs/{run_id}")).json()["run"]


async def test_ended_run_cannot_be_claimed() -> None:
    async with waiting("http://127.0.0.1:1") as (_, client, run_id):
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "FAILURE"})
        assert await claim(client, **CLAIM) == []


async def test_acknowledged_run_is_not_offered_again_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    payload = {"url": "http://127.0.0.1:1", "agent": True}
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        sandbox.add_run(RUN_ID, phase=Phase.CLAIMABLE, payload=payload)
        assert [run["id"] for run in await claim(client, **CLAIM)] == [RUN_ID]
        assert await ack(client, RUN_ID) == 1
    late = time.time() + 3600
    async with sandbox_with(state=file, now=lambda: late) as sandbox, a_client(sandbox) as client:
        assert sandbox.runs[RUN_ID].invocation.phase is Phase.ACKED
        assert await claim(client, **CLAIM) == []


async def test_integration_claim_has_its_own_timeout_and_acknowledges_one_run() -> None:
    clock = [NOW]
    own = CLAIM | {"installationId": "my-ocean", "visibilityTimeoutMs": 2000}

    async def claimed(**change: Any) -> list[str]:
        return [run["id"] for run in await claim(client, **own | change)]

    async with waiting("https://example.com/hook", clock) as (_, client, run_id):
        assert await claimed(exclude=["create_vm"]) == []
        assert await claimed() == [run_id]
        clock[0] += 1.9
        assert await claimed() == []
        clock[0] += 0.2
        assert await claimed() == [run_id]
        path, body = "/v1/actions/runs/ack", {"runId": run_id}
        assert (await client.patch(path, json=body, headers=RESERVED)).status_code == 200
        again = client.patch(path, json=body, headers=RESERVED)
        assert (await rejection(again))[:2] == (409, "already_acknowledged")
        nothing = client.patch(path, json={}, headers=RESERVED)
        assert "runIds" in (await rejection(nothing))[2]


async def test_agent_routes_require_its_header(client: httpx.AsyncClient) -> None:
    cases: list[tuple[str, str, Any]] = [
        ("POST", "/v1/actions/runs/claim-pending", CLAIM),
        ("PATCH", "/v1/actions/runs/ack", {"runIds": []}),
    ]
    for method, path, body in cases:
        assert "x-port-reserved-usage" in (await rejection(client.request(method, path, json=body)))[2]


async def test_invalid_claim_is_rejected(client: httpx.AsyncClient) -> None:
    cases: list[dict[str, Any]] = [{"limit": 0}, {"limit": "x"}, {"invocationMethod": "KAFKA"}, {"installationId": 1}]
    for change in cases:
        call = client.post("/v1/actions/runs/claim-pending", json=CLAIM | change, headers=RESERVED)
        assert (await rejection(call))[:2] == (422, "invalid_request")


async def test_claimed_node_run_contains_its_node(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    config = {"type": "WEBHOOK", "url": "http://127.0.0.1:1", "agent": True, "body": {"a": 1}}
    sandbox.add_run("wfnr_1", phase=Phase.CLAIMABLE, payload={**config, "workflowRun": "wfr_9"})
    body = {"installationId": AGENT, "limit": 100}  # the agent's request, without the header that action runs need
    (run,) = (await client.post("/v1/workflows/runs/claim-pending", json=body)).json()["nodeRuns"]
    assert (run["identifier"], run["node"]) == ("wfnr_1", {"config": config})
    assert run["workflowRun"] == {"identifier": "wfr_9"}
    assert await claim(client, **CLAIM) == []


async def test_claim_returns_the_oldest_runs_up_to_the_requested_limit(steps: Steps) -> None:
    action = an_action("http://127.0.0.1:9", method={"agent": True})
    async with running(action, on_run=steps) as (_, client):
        started = []
        for _ in range(3):
            started.append(await start(client))
            await steps.reach("agent")
        claimed = [[run["id"] for run in await claim(client, **CLAIM | {"limit": 2})] for _ in range(3)]
    assert claimed == [started[:2], started[2:], []]
