from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.invocations.models import Headers, Status
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.signatures.signing import sign
from port_hook_cli.signatures.verification import verify_signature
from tests.factories import NOW, RUN_ID
from tests.sandbox.action_runs import Steps, an_action, running, start
from tests.sandbox.claims import AGENT, CLAIM, RESERVED, claim, claim_nodes
from tests.sandbox_clients import a_client, refusal, token_of
from tests.sandboxes import sandbox_with
from tests.servers import handler


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
    answer = await client.patch("/v1/actions/runs/ack", json=body, headers=RESERVED)
    return int(answer.json()["ackedCount"])


class Agent:
    """Port's execution agent in its polling mode, one round of it, written after what the published one sends.

    Its limits: no mapping, no back-off, no Kafka. It fetches a token for every call, as the published one does.
    """

    def __init__(self, sandbox: Sandbox, client: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.client = client

    async def call(self, method: str, path: str, body: Any, **headers: str) -> Any:
        headers |= {"authorization": f"Bearer {await token_of(self.client, self.sandbox)}", "user-agent": "port-agent"}
        answer = await self.client.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    async def work(self) -> None:
        await self.call("PATCH", "/v1/organization", {"settings": {"portAgentStreamerName": "POLLING"}})
        claimed = await self.call("POST", "/v1/actions/runs/claim-pending", CLAIM, **RESERVED)
        for run in claimed["runs"]:
            if (await self.call("PATCH", "/v1/actions/runs/ack", {"runIds": [run["id"]]}, **RESERVED))["ackedCount"]:
                await self.invoke(run)
        nodes = {"installationId": "_PORT_EXEC_AGENT", "limit": 100}
        assert (await self.call("POST", "/v1/workflows/runs/claim-pending", nodes))["nodeRuns"] == []

    async def invoke(self, run: dict[str, Any]) -> None:
        path, payload = f"/v1/actions/runs/{run['id']}", run["payload"]
        for message in ("An action message has been received", "Sending the request"):
            await self.call("POST", f"{path}/logs", {"message": message})
        method = {name: payload[name] for name in ("type", "url", "synchronized", "method", "headers")}
        body = {**payload["body"], "headers": payload["headers"], "context": {"runId": run["id"]}}
        body["payload"] = {"action": {"invocationMethod": method}}
        compact = json.dumps(body, separators=(",", ":")).encode()
        answer = await self.client.request(
            payload["method"],
            payload["url"],
            content=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "X-Port-Timestamp": str(int(NOW)),
                "X-Port-Signature": sign(compact, self.sandbox.client_secret, str(int(NOW))),
            },
        )
        await self.call("PATCH", f"{path}/response", {"response": answer.json()})
        await self.call("PATCH", path, {"status": "SUCCESS" if answer.is_success else "FAILURE"})


async def test_agent_claims_acknowledges_and_ends_a_run() -> None:
    body = b'{"ip":"10.0.0.1"}'
    with handler(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)) as webhook:
        async with waiting(webhook.url) as (sandbox, client, run_id):
            assert webhook.requests == []
            await Agent(sandbox, client).work()
            run = sandbox.runs[run_id]
            assert (run.report.status, run.report.response) == ("SUCCESS", {"ip": "10.0.0.1"})
            assert [log["message"] for log in run.logs][-1] == "Sending the request"
            organization = (await client.get("/v1/organization")).json()["organization"]
            assert organization["settings"]["portAgentStreamerName"] == "POLLING"
            (request,) = webhook.requests
            headers = Headers(tuple(request.fields))
            verdict = verify_signature(headers, request.body, sandbox.client_secret, now=NOW, tolerance_s=1)
            assert verdict.status is Status.REENCODED
            await Agent(sandbox, client).work()
            assert len(webhook.requests) == 1


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


async def test_an_integration_claims_for_a_time_of_its_own_and_acknowledges_one_run() -> None:
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
        assert (await refusal(again))[:2] == (409, "already_acknowledged")
        nothing = client.patch(path, json={}, headers=RESERVED)
        assert "runIds" in (await refusal(nothing))[2]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/v1/actions/runs/claim-pending", CLAIM), ("PATCH", "/v1/actions/runs/ack", {"runIds": []})],
)
async def test_agent_routes_require_its_header(client: httpx.AsyncClient, method: str, path: str, body: Any) -> None:
    assert "x-port-reserved-usage" in (await refusal(client.request(method, path, json=body)))[2]


@pytest.mark.parametrize("change", [{"limit": 0}, {"limit": "x"}, {"invocationMethod": "KAFKA"}, {"installationId": 1}])
async def test_invalid_claim_is_rejected(client: httpx.AsyncClient, change: dict[str, Any]) -> None:
    call = client.post("/v1/actions/runs/claim-pending", json=CLAIM | change, headers=RESERVED)
    assert (await refusal(call))[:2] == (422, "invalid_request")


async def test_claimed_node_run_contains_its_node(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    config = {"type": "WEBHOOK", "url": "http://127.0.0.1:1", "agent": True, "body": {"a": 1}}
    sandbox.add_run("wfnr_1", phase=Phase.CLAIMABLE, payload={**config, "workflowRun": "wfr_9"})
    (run,) = await claim_nodes(client, installationId=AGENT, limit=100)
    assert (run["identifier"], run["node"]) == ("wfnr_1", {"config": config})
    assert run["workflowRun"] == {"identifier": "wfr_9"}
    assert await claim(client, **CLAIM) == []


@pytest.mark.parametrize(("limit", "counts"), [(1, [1, 1, 1, 0]), (2, [2, 1, 0]), (3, [3, 0])])
async def test_claim_returns_the_oldest_runs_up_to_the_requested_limit(
    limit: int, counts: list[int], steps: Steps
) -> None:
    action = an_action("http://127.0.0.1:9", method={"agent": True})
    async with running(action, on_run=steps) as (_, client):
        started = []
        for _ in range(3):
            started.append(await start(client))
            await steps.reach("agent")
        claimed = []
        for count in counts:
            runs = await claim(client, **CLAIM | {"limit": limit})
            assert len(runs) == count
            claimed += [run["id"] for run in runs]
    assert claimed == started
