from __future__ import annotations

import asyncio
from pathlib import Path

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.sandbox import CallRate, Sandbox
from tests.factories import RUN_ID
from tests.sandbox.action_runs import INPUTS, RUNS, SYNCHRONIZED, an_action, ended, running, start
from tests.sandbox.test_run_starts import Held
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with
from tests.servers import Handler


async def test_reset_restores_the_initial_state(tmp_path: Path) -> None:
    action = {**create_vm_action(), "title": "Mine", "requiredApproval": True}
    state = tmp_path / "state.db"
    async with (
        sandbox_with(actions=[action], runs=[RUN_ID], state=state, call_rate=CallRate(8)) as sandbox,
        a_client(sandbox) as client,
    ):
        credentials = (sandbox.url, sandbox.client_id, sandbox.client_secret.reveal())
        await client.post(RUNS, json=INPUTS)
        await client.post(f"/v1/actions/runs/{RUN_ID}/logs", json={"message": "a"})
        await client.post("/v1/blueprints/vm/entities", json={"identifier": "e"})
        await client.put("/v1/actions/create_vm", json={**create_vm_action(), "title": "Theirs"})
        changed = (await client.patch("/v1/organization", json={"settings": {"portalTitle": "x"}})).json()
        assert sandbox.entities
        await sandbox.reset()
        assert credentials == (sandbox.url, sandbox.client_id, sandbox.client_secret.reveal())
        assert (sandbox.entities, list(sandbox.runs), sandbox.runs[RUN_ID].logs) == ({}, [RUN_ID], [])
        assert sandbox.actions["create_vm"]["title"] == "Mine"
        # The token is still valid, and the rate limit has forgotten the earlier calls.
        organization = (await client.get("/v1/organization")).json()["organization"]
        assert organization == {"id": changed["organization"]["id"], "name": "sandbox", "settings": {}}
        assert [(await client.get(f"/v1/actions/runs/{RUN_ID}")).status_code for _ in range(7)] == [200] * 7
    async with Sandbox.start(state=state) as sandbox:
        assert (sandbox.entities, list(sandbox.runs), sandbox.runs[RUN_ID].logs) == ({}, [RUN_ID], [])
        assert sandbox.actions["create_vm"]["title"] == "Mine"


async def test_reset_cancels_an_invocation_in_progress() -> None:
    held = Held()
    async with sandbox_with(invoker=held) as sandbox, a_client(sandbox) as client:
        await start(client)
        await asyncio.wait_for(held.asked.wait(), 10)
        await sandbox.reset()
        assert held.given_up
        assert sandbox.runs == {}


async def test_sandbox_sends_invocations_after_a_reset(webhook: Handler) -> None:
    async with running(an_action(webhook.url, method=SYNCHRONIZED)) as (sandbox, client):
        await sandbox.reset()
        assert (await ended(sandbox, await start(client))).report.status == "SUCCESS"


async def test_recorded_delivery_has_the_same_effect_as_a_request_of_the_sandbox() -> None:
    cases: list[tuple[Delivery, str, list[str]]] = [
        (Delivery(url="http://x", status=503), "IN_PROGRESS", ["The webhook responded with 503."]),
        (Delivery(url="http://x", status=202), "IN_PROGRESS", []),
        (Delivery(url="http://x", error="no"), "FAILURE", ["The webhook could not be invoked: no."]),
    ]
    for delivery, status, logs in cases:
        async with sandbox_with(runs=[RUN_ID]) as sandbox:
            sandbox.record(RUN_ID, delivery)
            run = sandbox.runs[RUN_ID]
            assert (run.report.status, [log["message"] for log in run.logs]) == (status, logs)


async def test_wait_for_end_returns_when_a_recorded_response_ends_the_run() -> None:
    async with Sandbox.start() as sandbox:
        sandbox.add_run(RUN_ID, payload={"synchronized": True})
        waiting = asyncio.ensure_future(sandbox.wait_for_end(RUN_ID))
        await asyncio.sleep(0)  # it waits from now on
        sandbox.record(RUN_ID, Delivery(url="http://x", status=200, body=b'{"ip": "10.0.0.1"}'))
        run = await asyncio.wait_for(waiting, 30)
        assert (run.report.status, run.report.response) == ("SUCCESS", {"ip": "10.0.0.1"})
