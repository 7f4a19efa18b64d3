"""The examples do what they say, against the sandbox and with requests that port-hook signs."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from port_hook_cli.adapters.sandbox import Sandbox
from tests.conftest import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
ACTIONS = {"create_vm.json": "create_vm", "scale_service.json": "scale_service", "entity_updated.json": None}


@contextmanager
def running(*command: str, env: dict[str, str]) -> Iterator[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


async def test_the_python_handler_reports_its_run_to_the_sandbox(run: Run) -> None:
    async with Sandbox.start() as sandbox:
        secrets = {"PORT_CLIENT_ID": sandbox.client_id, "PORT_CLIENT_SECRET": sandbox.client_secret.reveal()}
        with running(
            sys.executable, str(EXAMPLES / "handler.py"), "0", env={**secrets, "PORT_API_URL": sandbox.url}
        ) as url:
            payload = str(EXAMPLES / "payloads" / "create_vm.json")
            command = [sys.executable, "-m", "port_hook_cli", "replay", payload, "--to", url, "--expect-status", "202"]
            replay = await asyncio.create_subprocess_exec(*command, env=secrets)
            assert await replay.wait() == 0
            ended = await asyncio.wait_for(sandbox.wait_for_end("r_QOz6WoOB1Q2lmhZZ"), 10)
    assert ended.status == "SUCCESS"


def test_the_python_handler_refuses_what_is_not_signed_with_its_secret(run: Run) -> None:
    with running(
        sys.executable, str(EXAMPLES / "handler.py"), "0", env={"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "a"}
    ) as url:
        payload = str(EXAMPLES / "payloads" / "create_vm.json")
        refused = run("replay", payload, "--to", url, "--expect-status", "401", env={"PORT_CLIENT_SECRET": "b"})
    assert refused.code == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on this machine")
@pytest.mark.parametrize(("secret", "status"), [("right", 200), ("wrong", 401)])
def test_the_node_handler_verifies_the_raw_bytes(run: Run, secret: str, status: int) -> None:
    node = shutil.which("node") or ""
    with running(node, str(EXAMPLES / "handler.mjs"), "0", env={"PORT_CLIENT_SECRET": "right"}) as url:
        payload = str(EXAMPLES / "payloads" / "create_vm.json")
        result = run("replay", payload, "--to", url, "--json", env={"PORT_CLIENT_SECRET": secret})
    assert [record["status"] for record in result.records] == [status]


@pytest.mark.parametrize(("name", "action"), ACTIONS.items())
def test_each_payload_is_read(name: str, action: str | None) -> None:
    from port_hook_cli.core.models import Headers
    from port_hook_cli.core.payload import read_payload

    payload = read_payload((EXAMPLES / "payloads" / name).read_bytes(), Headers())
    assert payload.problem is None
    assert payload.run_id is not None
    assert payload.action == action
    assert json.dumps(payload.inputs) != "{}" or payload.changes
