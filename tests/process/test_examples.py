"""The examples do what they say, against the sandbox and with requests that port-hook signs."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.sandbox import Sandbox
from tests import prepared
from tests.conftest import Run
from tests.installed import needs

EXAMPLES = Path(__file__).parents[2] / "examples"
ACTIONS = {"create_vm.json": "create_vm", "scale_service.json": "scale_service", "entity_updated.json": None}
HANDLERS = [
    pytest.param([sys.executable, str(EXAMPLES / "handler.py")], id="python"),
    pytest.param(
        [shutil.which("node") or "node", str(EXAMPLES / "handler.mjs")],
        id="node",
        marks=needs("node"),
    ),
]
CREDENTIALS = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "s"}


@contextmanager
def running(*command: str, env: dict[str, str], cwd: Path | None = None) -> Iterator[str]:
    process = prepared.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=cwd)
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


async def test_python_handler_reports_its_run_to_the_sandbox(run: Run) -> None:
    async with Sandbox.start() as sandbox:
        secrets = {"PORT_CLIENT_ID": sandbox.client_id, "PORT_CLIENT_SECRET": sandbox.client_secret.reveal()}
        with running(
            sys.executable, str(EXAMPLES / "handler.py"), "0", env={**secrets, "PORT_API_URL": sandbox.url}
        ) as url:
            payload = str(EXAMPLES / "payloads" / "create_vm.json")
            command = [sys.executable, "-m", "port_hook_cli", "replay", payload, "--to", url, "--expect-status", "202"]
            assert (await asyncio.to_thread(ended, command, env=secrets)).returncode == 0
            its_run = await asyncio.wait_for(sandbox.wait_for_end("r_QOz6WoOB1Q2lmhZZ"), 10)
    assert its_run.report.status == "SUCCESS"


async def test_python_handler_reports_a_workflow_node_to_the_sandbox(run: Run) -> None:
    async with Sandbox.start() as sandbox:
        secrets = {"PORT_CLIENT_ID": sandbox.client_id, "PORT_CLIENT_SECRET": sandbox.client_secret.reveal()}
        environ = {**secrets, "PORT_API_URL": sandbox.url}
        with running(sys.executable, str(EXAMPLES / "handler.py"), "0", env=environ) as url:
            node = f"{EXAMPLES / 'workflows' / 'deploy_service.json'}#deploy"
            command = [sys.executable, "-m", "port_hook_cli", "trigger", node, "--to", url, "--input", "service=cart"]
            trigger = await asyncio.to_thread(ended, command, "--wait", "20", "--json", env=environ)
    assert trigger.returncode == 0
    *_, node_run = (each for each in map(json.loads, trigger.stdout.splitlines()) if each.get("node") == "deploy")
    assert (node_run["result"], node_run["output"]) == ("SUCCESS", {"summary": "cart is deployed"})
    assert node_run["links"] == ["https://ci.example.com/services/cart"]


@pytest.mark.extended
async def test_scripts_check_a_handler_and_report_its_runs(tmp_path: Path) -> None:
    async with Sandbox.start() as sandbox:
        secrets = {"PORT_CLIENT_ID": sandbox.client_id, "PORT_CLIENT_SECRET": sandbox.client_secret.reveal()}
        environ = {**secrets, "PORT_API_URL": sandbox.url}
        approving = (sys.executable, str(EXAMPLES / "scripts" / "approve_runs.py"), "0", "1")
        with running(*approving, env=environ, cwd=tmp_path) as url:
            check = [sys.executable, str(EXAMPLES / "scripts" / "check_handler.py")]
            arguments = (str(EXAMPLES / "actions" / "create_vm.json"), url, "title=dev-env")
            checked = await asyncio.to_thread(ended, check, *arguments, env=environ, cwd=tmp_path)
            assert checked.returncode == 0
            (run_id,) = sandbox.runs
            its_run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)
    assert (its_run.report.status, its_run.report.summary) == ("SUCCESS", "Approved by a script.")


@pytest.mark.parametrize("arguments", [["approve_runs.py"], ["check_handler.py", "a.json", "8000", "title"]])
def test_scripts_print_their_usage_when_an_argument_is_missing(arguments: list[str]) -> None:
    name, *others = arguments
    result = ended([sys.executable, str(EXAMPLES / "scripts" / name), *others], env={})
    assert result.returncode == 1
    assert f"examples/scripts/{name}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("name", "action"), ACTIONS.items())
def test_handlers_read_each_example_payload(name: str, action: str | None) -> None:
    from port_hook_cli.invocations.headers import Headers
    from port_hook_cli.invocations.payload import read_payload

    payload = read_payload((EXAMPLES / "payloads" / name).read_bytes(), Headers())
    assert payload.problem is None
    assert payload.run_id is not None
    assert payload.action == action
    assert json.dumps(payload.inputs) != "{}" or payload.changes


def ended(
    command: list[str], *arguments: str, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return prepared.run([*command, *arguments], env=env, cwd=cwd, text=True, timeout=30, **pipes)


@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_without_a_secret_shows_where_to_get_it(handler: list[str]) -> None:
    done = ended(handler, "0", env={"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": ""})
    assert done.returncode == 2
    assert done.stderr.endswith("error: set PORT_CLIENT_SECRET, for instance: set -a; . ./.env; set +a\n")


@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_prints_its_usage(handler: list[str]) -> None:
    done = ended(handler, "--help", env={})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_rejects_an_invalid_port_with_one_line(handler: list[str]) -> None:
    done = ended(handler, "70000", env=CREDENTIALS)
    assert done.returncode == 2
    assert re.search(r"^handler\.(py|mjs): error: ", done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("handler", HANDLERS)
def test_handler_reports_a_port_in_use_with_one_line(handler: list[str]) -> None:
    with running(*handler, "0", env=CREDENTIALS) as url:
        port = url.rsplit(":", 1)[1]
        done = ended(handler, port, env=CREDENTIALS)
    assert done.returncode == 2
    assert f"error: port {port}: " in done.stderr.splitlines()[-1]
    assert "in use" in done.stderr


def test_python_handler_rejects_an_unknown_payload(run: Run) -> None:
    with running(sys.executable, str(EXAMPLES / "handler.py"), "0", env=CREDENTIALS) as url:
        payload = str(EXAMPLES / "payloads" / "scale_service.json")
        result = run("replay", payload, "--to", url, "--expect-status", "422", env=CREDENTIALS)
        create_vm = str(EXAMPLES / "payloads" / "create_vm.json")
        other = run("replay", create_vm, "--to", url, "--set", "action=x", "--expect-status", "422", env=CREDENTIALS)
    assert (result.code, other.code) == (0, 0)
