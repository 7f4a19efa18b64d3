"""Runs that a sandbox goes on with: after a restart, an approval, or when their action has gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.sandbox import SandboxRequest
from tests.plain_invoker import PlainInvoker
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with
from tests.servers import handler

RUNS = "/v1/actions/create_vm/runs"
INPUTS = {"properties": {"title": "dev-env", "cpu": 2}}


def an_action(url: str, **fields: Any) -> dict[str, Any]:
    action = create_vm_action()
    method = {**action["invocationMethod"], "url": url, "synchronized": True}
    return {**action, **fields, "invocationMethod": method}


class Held:
    """An invoker that never finishes a request: what it is asked for is still pending when the sandbox ends."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def request(self, action: Mapping[str, Any], **asked: Any) -> SandboxRequest:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")


async def start(client: Any) -> str:
    response = await client.post(RUNS, json=INPUTS)
    assert response.status_code == 202, response.text
    return str(response.json()["run"]["id"])


async def approve(client: Any, run_id: str) -> None:
    response = await client.patch(f"/v1/actions/runs/{run_id}/approval", json={"status": "APPROVE"})
    assert response.status_code == 201, response.text


async def test_approved_run_that_was_not_sent_is_sent_after_a_restart(
    tmp_path: Path,
) -> None:
    file, held = tmp_path / "sandbox.db", Held()
    with handler() as webhook:
        action = an_action(webhook.url, requiredApproval=True)
        async with sandbox_with(state=file, actions=[action], invoker=held) as sandbox, a_client(sandbox) as client:
            run_id = await start(client)
            await approve(client, run_id)
            await asyncio.wait_for(held.asked.wait(), 10)
        assert webhook.requests == []
        async with sandbox_with(state=file, invoker=PlainInvoker()) as sandbox:
            run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)
    assert run.report.status == "SUCCESS"
    assert [json.loads(request.body)["context"]["runId"] for request in webhook.requests] == [run_id]


async def test_run_waiting_for_approval_still_waits_after_a_restart_and_is_sent_when_approved(
    tmp_path: Path,
) -> None:
    file = tmp_path / "sandbox.db"
    with handler() as webhook:
        action = an_action(webhook.url, requiredApproval=True)
        async with (
            sandbox_with(state=file, actions=[action], invoker=PlainInvoker()) as sandbox,
            a_client(sandbox) as client,
        ):
            run_id = await start(client)
        async with sandbox_with(state=file, invoker=PlainInvoker()) as sandbox, a_client(sandbox) as client:
            assert sandbox.runs[run_id].report.status == "WAITING_FOR_APPROVAL"
            assert webhook.requests == []
            await approve(client, run_id)
            run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)
            assert run.report.status == "SUCCESS"
    assert len(webhook.requests) == 1


async def test_run_fails_with_the_reason_when_its_action_is_gone_at_approval() -> None:
    with handler() as webhook:
        action = an_action(webhook.url, requiredApproval=True)
        async with sandbox_with(actions=[action]) as sandbox, a_client(sandbox) as client:
            run_id = await start(client)
            renamed = {key: action[key] for key in ("trigger", "invocationMethod")} | {"identifier": "other"}
            assert (await client.put("/v1/actions/create_vm", json=renamed)).status_code == 200
            await approve(client, run_id)
            run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)
            logs = (await client.get(f"/v1/actions/runs/{run_id}/logs")).json()["runLogs"]
    assert (run.report.status, run.report.summary) == ("FAILURE", "The action create_vm no longer exists.")
    assert [log["message"] for log in logs] == ["The action create_vm no longer exists."]
    assert webhook.requests == []
