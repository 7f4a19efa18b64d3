"""Start action runs in a sandbox over its API, and wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.sandbox import RunEvent, Sandbox, SandboxRun
from tests.plain_invoker import PlainInvoker
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with

RUNS = "/v1/actions/create_vm/runs"
INPUTS = {"properties": {"title": "dev-env", "cpu": 2}}
SYNCHRONIZED = {"synchronized": True}


def an_action(url: str, *, method: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    action = create_vm_action()
    return {**action, **fields, "invocationMethod": {**action["invocationMethod"], "url": url, **(method or {})}}


class Steps:
    """Records the steps of runs. `reach` waits for the next step whose note contains a text, and returns it."""

    def __init__(self) -> None:
        self.seen: list[RunEvent] = []
        self._news: asyncio.Queue[RunEvent] = asyncio.Queue()

    def __call__(self, event: RunEvent) -> None:
        self.seen.append(event)
        self._news.put_nowait(event)

    async def reach(self, words: str) -> RunEvent:
        while words not in (step := await asyncio.wait_for(self._news.get(), 25)).note:
            pass
        return step


@asynccontextmanager
async def running(*actions: Mapping[str, Any], **options: Any) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    """Yield a sandbox with the actions, and a client."""
    options = {"invoker": PlainInvoker(), **options}
    async with sandbox_with(actions=actions, **options) as sandbox, a_client(sandbox) as client:
        yield sandbox, client


async def start(client: httpx.AsyncClient, path: str = RUNS, body: Any = INPUTS) -> str:
    """Start a run and return its ID."""
    response = await client.post(path, json=body)
    assert response.status_code == 202, response.text
    return str(response.json()["run"]["id"])


async def ended(sandbox: Sandbox, run_id: str) -> SandboxRun:
    """Return the run when it has ended."""
    return await asyncio.wait_for(sandbox.wait_for_end(run_id), 30)
