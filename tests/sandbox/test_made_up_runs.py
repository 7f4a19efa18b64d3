"""Runs that the sandbox makes up because it does not know their ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from port_hook_cli.sandbox import Sandbox
from tests.factories import RUN_ID
from tests.sandbox_clients import a_client, refusal

RUN = f"/v1/actions/runs/{RUN_ID}"
DELIVERIES = "/v1/sandbox/deliveries"
DELIVERY: dict[str, Any] = {
    "runId": RUN_ID,
    "action": "scale",
    "blueprint": "vm",
    "entity": "dev",
    "properties": {"cpu": 4},
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with Sandbox.start() as sandbox, a_client(sandbox) as client:
        yield client


async def test_unknown_run_is_created_without_an_action(client: httpx.AsyncClient) -> None:
    run = (await client.get(RUN)).json()["run"]
    assert (run["madeUp"], run["action"]["identifier"], run["properties"]) == (True, "unknown", {})


@pytest.mark.parametrize("reported_first", [True, False])
async def test_delivery_gives_the_run_its_action_and_inputs(client: httpx.AsyncClient, reported_first: bool) -> None:
    if reported_first:
        await client.patch(RUN, json={"summary": "working"})
    told = await client.post(DELIVERIES, json=DELIVERY)
    assert told.status_code == (200 if reported_first else 201)
    run = (await client.get(RUN)).json()["run"]
    assert (run["madeUp"], run["action"]["identifier"], run["properties"]) == (True, "scale", {"cpu": 4})
    assert (run["blueprint"]["identifier"], run["entity"]["identifier"]) == ("vm", "dev")
    assert run.get("summary") == ("working" if reported_first else None)


async def test_delivery_leaves_a_run_of_the_sandbox_as_it_is() -> None:
    async with Sandbox.start(runs=[RUN_ID]) as sandbox, a_client(sandbox) as client:
        before = (await client.get(RUN)).json()["run"]
        assert (await client.post(DELIVERIES, json=DELIVERY)).json()["run"] == before
        assert "madeUp" not in before


@pytest.mark.parametrize("change", [{"runId": "x"}, {"runId": 1}, {"action": None}, {"properties": []}, {"x": 1}])
async def test_invalid_delivery_is_rejected(client: httpx.AsyncClient, change: dict[str, Any]) -> None:
    assert (await refusal(client.post(DELIVERIES, json=DELIVERY | change)))[:2] == (422, "invalid_request")
