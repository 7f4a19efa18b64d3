"""`trigger` beside a sandbox: shows the run that the handler reports there, and follows it with --wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.sandbox import Sandbox
from tests.cli.workflow_handler import NodeHandler, serving
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET
from tests.sandboxes import a_sandbox, a_sequence, a_webhook, environ_of
from tests.servers import NO_TLS, handler

ARGUMENTS = ("trigger", "a.json", "--run-id", RUN_ID, "--input", "title=a", "--input", "cpu=4")
STAYS = "stays IN_PROGRESS until the handler reports its result"


class Reporter(NodeHandler):
    """A handler that reports its run to the sandbox, before or after it responds, or never."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.status = 202
        self.result = "SUCCESS"
        self.reports: str = "first"
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def env(self) -> Mapping[str, str]:
        return environ_of(self.sandbox)

    async def handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.requests.append((request.path, b"", request.headers))  # type: ignore[arg-type]
        if self.reports == "first":
            await self._report(body)
        elif self.reports == "later":
            self.tasks.append(asyncio.create_task(self._report(body)))
        return web.Response(status=self.status)

    async def _report(self, body: Mapping[str, Any]) -> None:
        env = self.env
        async with httpx.AsyncClient(base_url=env["PORT_API_URL"], verify=NO_TLS) as client:
            known = {"clientId": env["PORT_CLIENT_ID"], "clientSecret": env["PORT_CLIENT_SECRET"]}
            token = (await client.post("/v1/auth/access_token", json=known)).json()["accessToken"]
            client.headers["authorization"] = f"Bearer {token}"
            if "node" in body:
                path = f"/v1/workflows/nodes/runs/{body['node']}"
                end = {"status": "COMPLETED", "result": self.result, "output": {"vm": 1}}
            else:
                path = f"/v1/actions/runs/{body['context']['runId']}"
                await client.post(f"{path}/logs", json={"message": "Creating the VM"})
                end = {"status": self.result, "statusLabel": "Created"}
            (await client.patch(path, json=end)).raise_for_status()


@pytest.fixture
def receiver(folder: Path) -> Iterator[Reporter]:
    (folder / "a.json").write_text(json.dumps(create_vm_action()), "utf-8")
    with a_sandbox() as sandbox, serving(Reporter(sandbox)) as it:
        yield it


def test_run_reported_before_the_response_has_ended(run: Run, receiver: Reporter) -> None:
    result = run(*ARGUMENTS, "--to", receiver.url, env=receiver.env)
    assert (result.code, result.err) == (0, "")
    assert "sandbox    the run has ended as SUCCESS: the handler reported its result" in result.out
    assert STAYS not in result.out
    assert "report-run" not in result.out


def test_run_reported_shortly_after_the_response_has_ended(run: Run, receiver: Reporter) -> None:
    receiver.reports = "later"
    result = run(*ARGUMENTS, "--to", receiver.url, env=receiver.env)
    assert "sandbox    the run has ended as SUCCESS: the handler reported its result" in result.out


def test_unreachable_sandbox_does_not_disturb_trigger(run: Run, receiver: Reporter) -> None:
    receiver.reports = "never"
    result = run(*ARGUMENTS, "--to", receiver.url, env={**receiver.env, "PORT_API_URL": "http://127.0.0.1:1"})
    assert (result.code, result.err) == (0, "")
    assert f"the run {STAYS}" in result.out


def test_wait_follows_the_run_in_the_sandbox(run: Run, receiver: Reporter) -> None:
    receiver.reports = "later"
    result = run(*ARGUMENTS, "--to", receiver.url, "--wait", "20", env=receiver.env)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith(f"  log  Creating the VM\n{RUN_ID}  SUCCESS  Created\n")


def test_wait_for_a_failed_run_exits_1_with_two_records(run: Run, receiver: Reporter) -> None:
    receiver.reports, receiver.result = "later", "FAILURE"
    result = run(*ARGUMENTS, "--to", receiver.url, "--wait", "20", "--json", env=receiver.env)
    assert result.code == ExitCode.FAILED
    invocation, end = result.records
    assert (invocation["type"], invocation["delivery"]["status"]) == ("invocation", 202)
    assert (end["type"], end["status"], end["logs"]) == ("run", "FAILURE", ["Creating the VM"])


def test_wait_exits_1_if_the_run_is_not_reported_in_time(run: Run, receiver: Reporter) -> None:
    receiver.reports = "never"
    result = run(*ARGUMENTS, "--to", receiver.url, "--wait", "0.1", env=receiver.env)
    assert (result.code, result.err) == (ExitCode.FAILED, f"error: {RUN_ID} did not end within 0.1 s\n")
    assert f"the run {STAYS}" in result.out


def test_report_after_a_failed_response_is_shown_but_the_run_is_not_followed(run: Run, receiver: Reporter) -> None:
    receiver.status, receiver.reports = 500, "later"
    result = run(*ARGUMENTS, "--to", receiver.url, "--wait", "60", env=receiver.env)
    assert (result.code, "the run has ended as SUCCESS" in result.out) == (ExitCode.FAILED, True)
    assert "note: the run is not followed, because the handler responded with 500" in result.err


def test_wait_fails_before_any_request_when_it_cannot_follow(run: Run, folder: Path) -> None:
    rows: tuple[tuple[Mapping[str, str], int, str], ...] = (
        ({}, ExitCode.USAGE, "but the URL of Port's API is https://api.port.io."),
        ({"PORT_API_URL": "http://127.0.0.1:1"}, ExitCode.SETTINGS, "PORT_CLIENT_ID"),
        ({"PORT_API_URL": "http://127.0.0.1:1", "PORT_CLIENT_ID": "a"}, ExitCode.PORT_API, "http://127.0.0.1:1"),
    )
    for env, code, words in rows:
        (folder / "a.json").write_text(json.dumps(create_vm_action()), "utf-8")
        with handler() as target:
            secret = {"PORT_CLIENT_SECRET": SECRET.reveal()}
            result = run(*ARGUMENTS, "--to", target.url, "--wait", "1", env={**secret, **env})
        assert (result.code, target.requests) == (code, [])
        assert words in result.err


def test_workflow_continues_when_its_node_was_reported_before_the_response(
    run: Run, receiver: Reporter, folder: Path
) -> None:
    body = {"node": "{{ .workflowNodeRun.identifier }}"}
    workflow = a_sequence(a_webhook("make", receiver.url, synchronized=False, body=body))
    (folder / "w.json").write_text(json.dumps(workflow), "utf-8")
    result = run("trigger", "w.json", env=receiver.env)
    assert (result.code, STAYS in result.out) == (0, False)
    assert 'output     {"vm":1}' in result.out
    receiver.reports = "never"
    waits = run("trigger", "w.json", env=receiver.env)
    assert (waits.code, STAYS in waits.out) == (0, True)
