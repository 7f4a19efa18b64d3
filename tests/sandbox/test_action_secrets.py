"""The organization's secrets in an action's templates: sent, and neither saved nor shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.sandbox import RunEvent, Sandbox
from port_hook_cli.text.secret import Secret
from port_hook_cli.trigger.open_invoker import SandboxInvoker, invoking
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with
from tests.servers import handler

KEY = "a-very-secret-value"
INPUTS = {"properties": {"title": "dev-env", "cpu": 2}}
CLAIM = {"installationId": "_PORT_EXEC_AGENT", "invocationMethod": "WEBHOOK"}


@pytest.fixture(scope="module")
def invoker() -> Iterator[SandboxInvoker]:
    with invoking(lambda: Secret("not used")) as made:
        yield SandboxInvoker(made)


def serving(
    invoker: SandboxInvoker, method: Mapping[str, Any], secrets: Mapping[str, str], **options: Any
) -> AbstractAsyncContextManager[Sandbox]:
    base = create_vm_action()
    synchronized = {"synchronized": True, "headers": {"X-Key": "{{ .secrets.KEY }}"}}
    action = {**base, "invocationMethod": {**base["invocationMethod"], **synchronized, **method}}
    return sandbox_with(actions=[action], invoker=invoker, secrets=secrets, **options)


async def start(client: httpx.AsyncClient) -> str:
    return str((await client.post("/v1/actions/create_vm/runs", json=INPUTS)).json()["run"]["id"])


def saved(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("state.db*"))


async def test_secrets_are_sent_in_url_headers_and_body_and_masked_elsewhere(
    invoker: SandboxInvoker, tmp_path: Path
) -> None:
    events: list[RunEvent] = []
    method = {"url": "{{ .secrets.URL }}/api/now?k={{ .secrets.KEY }}", "body": {"key": "{{ .secrets.KEY }}"}}
    with handler() as webhook:
        secrets = {"URL": webhook.url, "KEY": KEY}
        options: dict[str, Any] = {"state": tmp_path / "state.db", "on_run": events.append}
        async with serving(invoker, method, secrets, **options) as sandbox, a_client(sandbox) as client:
            run_id = await start(client)
            run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 30)
            shown = (await client.get(f"/v1/actions/runs/{run_id}")).json()["run"]
    (request,) = webhook.requests
    assert request.line == f"POST /api/now?k={KEY} HTTP/1.1"
    assert (request.value("x-key"), request.body) == (KEY, f'{{"key":"{KEY}"}}'.encode())
    assert run.report.status == "SUCCESS"
    payload = shown["payload"]
    assert (payload["url"], payload["headers"]["X-Key"]) == ("***/api/now?k=***", "***")
    assert payload["body"] == {"key": "***"}
    assert any(event.note == "sending POST ***/api/now?k=***" for event in events)
    assert KEY not in repr(events)
    assert KEY.encode() not in saved(tmp_path)


@pytest.mark.parametrize(
    ("secret", "url", "host"),
    [
        (KEY, "https://{{ .secrets.KEY }}.example/hook", "***.example"),
        ("https://hidden-host.example", "{{ .secrets.KEY }}/hook", "***"),
    ],
)
async def test_failure_of_a_run_quotes_no_secret(
    invoker: SandboxInvoker, tmp_path: Path, secret: str, url: str, host: str
) -> None:
    async with (
        serving(invoker, {"url": url}, {"KEY": secret}, state=tmp_path / "state.db") as sandbox,
        a_client(sandbox) as client,
    ):
        run_id = await start(client)
        run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 30)
        logs = (await client.get(f"/v1/actions/runs/{run_id}/logs")).text
    assert (run.report.status, f"and {host} is another one" in (run.report.summary or "")) == ("FAILURE", True)
    hidden = secret.removeprefix("https://")
    assert hidden not in logs
    assert hidden.encode() not in saved(tmp_path)


async def test_agent_claims_a_request_with_its_secrets(invoker: SandboxInvoker, tmp_path: Path) -> None:
    waiting: asyncio.Queue[str] = asyncio.Queue()
    options: dict[str, Any] = {"state": tmp_path / "state.db", "on_run": lambda event: waiting.put_nowait(event.note)}
    method = {"url": "https://x.example/", "agent": True}
    reserved = {"x-port-reserved-usage": "true"}
    async with serving(invoker, method, {"KEY": KEY}, **options) as sandbox, a_client(sandbox) as client:
        run_id = await start(client)
        while "waiting for Port's agent" not in await asyncio.wait_for(waiting.get(), 30):
            pass
        claimed = await client.post("/v1/actions/runs/claim-pending", json=CLAIM, headers=reserved)
        shown = (await client.get(f"/v1/actions/runs/{run_id}")).json()["run"]
    assert [run["payload"]["headers"]["X-Key"] for run in claimed.json()["runs"]] == [KEY]
    assert shown["payload"]["headers"]["X-Key"] == "***"
    assert KEY.encode() not in saved(tmp_path)
