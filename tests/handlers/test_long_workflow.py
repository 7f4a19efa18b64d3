"""A workflow of as many nodes as Port allows does not take long. `make bench` measures it. These are wide guards."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.workflows.workflow import MAX_NODES
from tests.conftest import Run
from tests.handlers.handlers import SIGNED_ALONE
from tests.long_workflows import a_chain
from tests.sandbox_clients import token_of
from tests.sandboxes import sandbox_with
from tests.servers import NO_TLS, application

pytestmark = pytest.mark.extended

GUARD_S = 60.0  # it takes less than a second alone
PADDING = "x" * 5_000


class Counter:
    """A handler that numbers its responses, and records the previous number in each request."""

    def __init__(self) -> None:
        self.before: list[Any] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.before.append((json.loads(await request.read()).get("before") or {}).get("data", {}).get("number"))
        return web.json_response({"number": len(self.before), "padding": PADDING})


@pytest.fixture
def counter() -> Iterator[tuple[Counter, str]]:
    found, app = Counter(), web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    with application(app) as url:
        yield found, url


def test_trigger_runs_a_hundred_nodes_in_seconds(run: Run, folder: Path, counter: tuple[Counter, str]) -> None:
    found, url = counter
    (folder / "chain.json").write_text(json.dumps(a_chain("https://example.com")), "utf-8")
    began = time.monotonic()
    result = run("trigger", "chain.json", "--to", url, "--input", "service=cart", env=SIGNED_ALONE)
    assert (result.code, time.monotonic() - began < GUARD_S) == (0, True)
    assert found.before == [None, *range(1, MAX_NODES - 1)]


def test_sandbox_with_a_state_file_runs_a_hundred_nodes_in_seconds(
    tmp_path: Path, counter: tuple[Counter, str]
) -> None:
    found, url = counter
    state = tmp_path / "sandbox.db"

    async def check() -> None:
        with Renderer() as renders:
            async with (
                sandbox_with(renders=renders, workflows=[a_chain(url)], state=state) as sandbox,
                httpx.AsyncClient(base_url=sandbox.url, verify=NO_TLS) as client,
            ):
                client.headers["authorization"] = f"Bearer {await token_of(client, sandbox)}"
                began = time.monotonic()
                response = await client.post("/v1/workflows/chain/runs", json={"inputs": {"service": "cart"}})
                run_id = response.json()["workflowRun"]["identifier"]
                run = await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id), GUARD_S)
                assert time.monotonic() - began < GUARD_S
            assert (run.result, len(run.node_runs)) == ("SUCCESS", MAX_NODES)
            async with sandbox_with(renders=renders, state=state) as again:
                assert again.workflow_runs[run_id].node_runs == run.node_runs

    asyncio.run(check())
    assert found.before == [None, *range(1, MAX_NODES - 1)]
