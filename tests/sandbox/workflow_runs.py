"""Start workflow runs in a sandbox over its API, and wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.workflows.run import WorkflowRun
from tests.port_workflows_openapi import check_response
from tests.sandbox_clients import token_of
from tests.sandboxes import sandbox_with
from tests.servers import NO_TLS


@asynccontextmanager
async def running(
    renderer: Renderer, *workflows: Any, **options: Any
) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    """Yield a sandbox with the workflows, and a client that checks responses against Port's workflow routes."""
    hooks = {"response": [check_response]}
    async with (
        sandbox_with(renders=renderer, workflows=workflows, **options) as sandbox,
        httpx.AsyncClient(base_url=sandbox.url, event_hooks=hooks, verify=NO_TLS) as client,
    ):
        client.headers["authorization"] = f"Bearer {await token_of(client, sandbox)}"
        yield sandbox, client


async def started(client: httpx.AsyncClient, workflow: str = "one", **inputs: Any) -> str:
    """Start a run and return its ID."""
    response = await client.post(f"/v1/workflows/{workflow}/runs", json={"inputs": inputs})
    assert response.status_code == 201, response.text
    return str(response.json()["workflowRun"]["identifier"])


async def waiting(sandbox: Sandbox, run_id: str, node: str = "do") -> str:
    """Return the ID of the node run that waits."""

    def waits(run: WorkflowRun) -> bool:
        return run.current is not None and (run.current.node, run.current.progress) == (node, "waiting")

    run = await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id, waits), 25)
    assert run.current is not None
    return run.current.id


async def ended(sandbox: Sandbox, run_id: str) -> WorkflowRun:
    """Return the run when it has ended."""
    return await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id), 10)


async def run_workflow(renderer: Renderer, document: Any, **options: Any) -> tuple[WorkflowRun, list[dict[str, Any]]]:
    """Run the workflow `one` to its end, and return the run and its logs."""
    async with running(renderer, document, **options) as (sandbox, client):
        run = await ended(sandbox, await started(client))
        logs: list[dict[str, Any]] = (await client.get(f"/v1/workflows/runs/{run.id}/logs")).json()["logs"]
    return run, logs
