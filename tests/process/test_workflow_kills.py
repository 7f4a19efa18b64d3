"""A workflow's run in a sandbox that is killed: started again from its state file, it ends the same."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.process.test_backends import a_sandbox_process
from tests.servers import application

pytestmark = pytest.mark.once

EXAMPLE = Path(__file__).parents[2] / "examples" / "workflows" / "deploy_service.json"


class Backend:
    """A handler that keeps what it got, and responds as the example's handlers do."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, json.loads(await request.read())))
        return web.json_response({"ready": True}, status=200 if request.path == "/builds/check" else 202)

    def wait_for(self, path: str) -> None:
        """Return when a request for `path` has arrived."""
        deadline = time.monotonic() + 30
        while path not in [each for each, _ in self.requests]:
            assert time.monotonic() < deadline, f"no request for {path}: {self.requests}"
            time.sleep(0.02)


@pytest.fixture
def backend() -> Iterator[tuple[Backend, str]]:
    found, app = Backend(), web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    with application(app) as url:
        yield found, url


def run_of(client: httpx.Client, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/workflows/runs/{run_id}").json()["workflowRun"]
    return found


def wait_for(client: httpx.Client, run_id: str, nodes: int, status: str) -> dict[str, Any]:
    """Return the run when its last of `nodes` node runs has `status`."""
    run, deadline = run_of(client, run_id), time.monotonic() + 30
    while time.monotonic() < deadline:
        run = run_of(client, run_id)
        if len(run["nodeRuns"]) == nodes and run["nodeRuns"][-1]["status"] == status:
            return run
        time.sleep(0.02)
    pytest.fail(f"the run did not get there: {run}")


def ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    """Report the asynchronous node, and return the run at its end without what differs from run to run."""
    waiting = wait_for(client, run_id, 4, "IN_PROGRESS")
    path = f"/v1/workflows/nodes/runs/{waiting['nodeRuns'][-1]['identifier']}"
    client.patch(path, json={"status": "COMPLETED", "result": "SUCCESS", "output": {"runId": 7}}).raise_for_status()
    run = wait_for(client, run_id, 4, "COMPLETED")
    return {
        "result": run["result"],
        "nodes": [(each["node"]["identifier"], each["result"], each["output"]) for each in run["nodeRuns"]],
        "links": run["nodeRuns"][-1]["links"],
    }


@pytest.mark.parametrize("kills", [0, 1, 3])
def test_run_of_a_killed_sandbox_ends_correctly_after_a_restart(
    tmp_path: Path, backend: tuple[Backend, str], kills: int
) -> None:
    handler, url = backend
    file = tmp_path / "workflow.json"
    file.write_text(EXAMPLE.read_text("utf-8").replace("https://hooks.example.com", url), "utf-8")
    options = ("--state", str(tmp_path / "sandbox.db"), "--workflows", str(file))
    run_id = ""
    for _ in range(kills):
        with a_sandbox_process(tmp_path, *options) as sandbox, sandbox.client() as client:
            if not run_id:
                run_id = started(client)
            wait_for(client, run_id, 4, "IN_PROGRESS")
            handler.wait_for("/deploy")  # the node is in progress before its request is sent
            sandbox.process.send_signal(signal.SIGKILL)
            sandbox.process.wait(30)
    with a_sandbox_process(tmp_path, *options) as sandbox, sandbox.client() as client:
        assert ended(client, run_id or started(client)) == {
            "result": "SUCCESS",
            "nodes": [
                ("trigger", "SUCCESS", {"service": "cart", "version": "1.0"}),
                ("check", "SUCCESS", {"response": {"status": 200, "data": {"ready": True}}}),
                ("is_ready", "SUCCESS", {"selectedOutlet": {"identifier": "ready"}}),
                ("deploy", "SUCCESS", {"runId": 7}),
            ],
            "links": ["https://ci.example.com/runs/7"],
        }
    assert [path for path, _ in handler.requests] == ["/builds/check", "/deploy"]


def started(client: httpx.Client) -> str:
    response = client.post("/v1/workflows/deploy_service/runs", json={"inputs": {"service": "cart"}})
    assert response.status_code == 201, response.text
    return str(response.json()["workflowRun"]["identifier"])
