"""The inspector of `sandbox --inspect`: runs that its page starts in the sandbox, and the runs of its captures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from port_hook_cli.cli.inspect import SandboxInspector
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.runtime import Runtime
from tests.inspectors import WITH_CHANGE
from tests.plain_invoker import PlainInvoker
from tests.sandboxes import a_sequence, a_webhook, sandbox_with
from tests.servers import NO_TLS, Handler, handler

MakeRuntime = Callable[..., Runtime]


@pytest.fixture
def target() -> Iterator[Handler]:
    with handler() as found:
        yield found


def an_action(url: str) -> dict[str, Any]:
    inputs = {"properties": {"cpu": {"type": "number"}}, "required": ["cpu"]}
    return {
        "identifier": "resize",
        "trigger": {"type": "self-service", "operation": "DAY-2", "userInputs": inputs},
        "invocationMethod": {"type": "WEBHOOK", "url": url},
    }


def a_flow(url: str) -> dict[str, Any]:
    """Return a workflow with a condition before its first request, and a body without its run ID."""
    condition = {"type": "CONDITION", "outlets": [{"identifier": "yes", "title": "Ready", "expression": "true"}]}
    ship = a_webhook("ship", url, body={"service": "cart"}, synchronized=True)
    found = a_sequence({"identifier": "is_ready", "config": condition}, ship, identifier="flow")
    found["connections"][1]["sourceOutletIdentifier"] = "yes"
    return found


@asynccontextmanager
async def sandbox_page(runtime: Runtime, target: Handler) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the inspector of a sandbox with an action and a workflow."""
    shown = SandboxInspector(runtime, port=0, actions=[])
    given = {"actions": [an_action(target.url)], "workflows": [a_flow(target.url)]}
    with Renderer() as renderer:
        async with (
            sandbox_with(invoker=PlainInvoker(), renders=renderer, on_delivery=shown.add, **given) as sandbox,
            shown.opened(sandbox.url, sandbox.client_id, sandbox.client_secret) as url,
        ):
            address, _, token = url.partition("#token=")
            fields = {"authorization": f"Bearer {token}", **WITH_CHANGE}
            base = httpx.URL(address).join("/")
            async with httpx.AsyncClient(base_url=base, headers=fields, timeout=30, verify=NO_TLS) as client:
                yield client


async def test_page_starts_runs_of_the_sandbox_and_gets_their_captures(runtime: MakeRuntime, target: Handler) -> None:
    async with sandbox_page(runtime(), target) as client:
        assert (await client.get("/api/session")).json()["can"]["trigger"]
        forms = (await client.get("/api/actions")).json()["actions"]
        assert [form["identifier"] for form in forms] == ["resize", "flow#start", "flow#ship"]
        found = (await client.post("/api/actions/resize/trigger", json={"inputs": {"cpu": 2}})).json()
        assert (found["delivery"]["status"], found["run"] in found["notes"][0]) == (200, True)
        capture = (await client.get(f"/api/captures/{found['capture']}")).json()
        assert (capture["row"]["run_id"], capture["row"]["inputs"]) == (found["run"], [["cpu", "2"]])
        refused = await client.post("/api/actions/resize/trigger", json={"inputs": {}})
        assert "cpu" in refused.json()["error"]
        alone = await client.post("/api/actions/flow%23ship/trigger", json={"inputs": {}})
        assert (alone.status_code, alone.json()["hint"]) == (400, "Choose the workflow.")
        assert len(target.requests) == 1


async def test_capture_of_a_node_leads_to_the_run_when_its_payload_has_no_run_id(
    runtime: MakeRuntime, target: Handler
) -> None:
    async with sandbox_page(runtime(), target) as client:
        found = (await client.post("/api/actions/flow%23start/trigger", json={"inputs": {}})).json()
        assert (found["delivery"]["status"], found["run"][:4]) == (200, "wfr_")
        capture = (await client.get(f"/api/captures/{found['capture']}")).json()
        shown = (await client.get(f"/api/runs/{capture['row']['run_id']}")).json()
        assert shown["run"]["id"] == found["run"]
        (node,) = [each for each in shown["nodes"] if each["id"] == "ship"]
        rows = (await client.get("/api/captures", params={"run": node["run_id"]})).json()["captures"]
        assert [row["id"] for row in rows] == [found["capture"]]
