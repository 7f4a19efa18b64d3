"""How many runs an agent gets with one call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.sandbox import RunEvent
from port_hook_cli.sandbox.run import Phase
from tests.plain_invoker import PlainInvoker
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with

RESERVED = {"x-port-reserved-usage": "true"}


@pytest.mark.parametrize(("limit", "counts"), [(1, [1, 1, 1, 0]), (2, [2, 1, 0]), (3, [3, 0])])
async def test_claim_returns_the_oldest_runs_up_to_the_requested_limit(limit: int, counts: list[int]) -> None:
    waiting: asyncio.Queue[str] = asyncio.Queue()

    def on_run(event: RunEvent) -> None:
        if sandbox.runs[event.run_id].invocation.phase is Phase.CLAIMABLE:
            waiting.put_nowait(event.run_id)

    action: dict[str, Any] = create_vm_action()
    action["invocationMethod"] |= {"url": "http://127.0.0.1:9", "agent": True}
    async with (
        sandbox_with(actions=[action], invoker=PlainInvoker(), on_run=on_run) as sandbox,
        a_client(sandbox) as client,
    ):
        started = []
        for _ in range(3):
            await client.post("/v1/actions/create_vm/runs", json={"properties": {"title": "x"}})
            started.append(await asyncio.wait_for(waiting.get(), 10))
        body = {"installationId": "_PORT_EXEC_AGENT", "limit": limit, "invocationMethod": "WEBHOOK"}
        claimed = []
        for count in counts:
            response = await client.post("/v1/actions/runs/claim-pending", json=body, headers=RESERVED)
            runs = response.json()["runs"]
            assert len(runs) == count
            claimed += [run["id"] for run in runs]
    assert claimed == started
