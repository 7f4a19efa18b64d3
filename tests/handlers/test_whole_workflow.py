"""One workflow (trigger, WEBHOOK, CONDITION, asynchronous WEBHOOK) and its handlers end the same in every way.

The handler of the asynchronous node reports it. The sandbox is also killed in the middle of the run.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.pytest_plugin import PortHook, PortSandbox
from tests.conftest import Run
from tests.handlers.handlers import EXAMPLES, Records, a_program, a_sandbox_process, environ_for, until, workflow_run

EXAMPLE = EXAMPLES / "workflows" / "deploy_service.json"
EXPECTED = [
    ("check", "SUCCESS", {"response": {"status": 200, "data": {"ready": True}}}),
    ("is_ready", "SUCCESS", {"selectedOutlet": {"identifier": "ready"}}),
    ("deploy", "SUCCESS", {"runId": 7}),
]
LINK = "https://ci.example.com/services/cart"


def written(folder: Path, url: str) -> str:
    """Write the workflow with its nodes pointed at `url`, and return the path."""
    file = folder / "workflow.json"
    file.write_text(EXAMPLE.read_text("utf-8").replace("https://hooks.example.com", url), "utf-8")
    return str(file)


def started(sandbox: Records, client: httpx.Client, document: Mapping[str, Any]) -> str:
    client.post("/v1/workflows", json=document).raise_for_status()
    response = client.post("/v1/workflows/deploy_service/runs", json={"inputs": {"service": "cart"}})
    return str(response.json()["workflowRun"]["identifier"])


def outcome(client: httpx.Client, run_id: str) -> tuple[Any, Any, Any]:
    run = workflow_run(client, run_id)
    nodes = [(each["node"]["identifier"], each["result"], each["output"]) for each in run["nodeRuns"][1:]]
    return run["result"], nodes, run["nodeRuns"][-1]["links"]


def has_ended(note: str) -> bool:
    return note.startswith("deploy ended with")


def test_trigger_runs_the_workflow_to_its_end(sandbox: Records, run: Run) -> None:
    with a_program("deploying.py", env=environ_for(sandbox.ready)) as url:
        arguments = ("--to", url, "--input", "service=cart", "--wait", "20", "--json")
        result = run("trigger", str(EXAMPLE), *arguments, env=environ_for(sandbox.ready))
    assert (result.code, result.err.count("error")) == (0, 0)
    ended = [each for each in result.records if each["type"] == "node" and each["result"] is not None]
    assert [(each["node"], each["result"], each["output"]) for each in ended] == EXPECTED
    assert (ended[-1]["links"], result.records[-1]["result"]) == ([LINK], "SUCCESS")


def test_sandbox_runs_the_workflow_to_its_end(sandbox: Records, client: httpx.Client, tmp_path: Path) -> None:
    with a_program("deploying.py", env=environ_for(sandbox.ready)) as url:
        run_id = started(sandbox, client, json.loads(Path(written(tmp_path, url)).read_text("utf-8")))
        until(sandbox, run_id, has_ended)
        assert outcome(client, run_id) == ("SUCCESS", EXPECTED, [LINK])


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.extended)])
def test_killed_sandbox_accepts_the_report_of_the_handler_after_its_restart(tmp_path: Path, kills: int) -> None:
    state = ("--state", str(tmp_path / "sandbox.db"))
    with ExitStack() as stack:
        sandbox = stack.enter_context(a_sandbox_process(tmp_path, *state))
        url = stack.enter_context(a_program("deploying.py", env=environ_for(sandbox.ready) | {"HOLD": "1"}))
        with sandbox.client() as client:
            run_id = started(sandbox, client, json.loads(Path(written(tmp_path, url)).read_text("utf-8")))
        until(
            sandbox,
            run_id,
            lambda note: (
                note.startswith("deploy (") and note.endswith("stays IN_PROGRESS until the handler reports its result")
            ),
        )
        for _ in range(kills):
            sandbox.process.send_signal(signal.SIGKILL)
            sandbox.process.wait(30)
            sandbox = stack.enter_context(a_sandbox_process(tmp_path, *state))
        httpx.post(f"{url}/release", json={"api": sandbox.ready["url"]}).raise_for_status()
        until(sandbox, run_id, has_ended)
        with sandbox.client() as client:
            assert outcome(client, run_id) == ("SUCCESS", EXPECTED, [LINK])
            logs = client.get(f"/v1/workflows/runs/{run_id}/logs").json()["logs"]
            assert [log["message"] for log in logs] == ["deployed"]


def test_pytest_fixture_runs_the_workflow_to_its_end(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    with a_program("deploying.py", env=port_sandbox.environ) as url:
        run = port_hook.run_workflow(EXAMPLE, {"service": "cart"}, to=url)
    nodes = [(name, node.result, node.output) for name, node in run.nodes.items()]
    assert (run.result, nodes[1:], run.nodes["deploy"].link) == ("SUCCESS", EXPECTED, [LINK])
    assert run.nodes["deploy"].logs == ("deployed",)
