"""Tests of the handler over HTTP. It is started once, as a process with the credentials of the sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex

import pytest

from port_hook_cli.pytest_plugin import PortHook, PortSandbox

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def url(port_environ: dict[str, str]) -> Iterator[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    command = [node, "server.mjs", "0"]
    with subprocess.Popen(
        command, cwd=HERE, env={**os.environ, **port_environ}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.kill()


def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """Send a request and return the status of the response."""
    request = urllib.request.Request(f"{url}/port/create-vm", body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_vm_is_created(port_hook: PortHook, url: str) -> None:
    run = port_hook.invoke("create_vm.yaml", {"title": "dev-env", "cpu": 4}, to=url)
    assert (run.status, run.summary) == ("SUCCESS", "dev-env is up")
    assert run.logs == ("creating dev-env with 4 CPUs",)
    assert run.handler_response is not None
    assert run.handler_response.status == 202


def test_a_request_of_another_organization_is_refused(port_hook: PortHook, url: str) -> None:
    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "vm": {}}, secret="another")
    assert post(url, headers, body) == 401


def test_the_run_fails_when_an_input_is_invalid(port_hook: PortHook, port_sandbox: PortSandbox, url: str) -> None:
    # The form refuses such a number, so the test makes the request itself.
    run = port_sandbox.add_run(f"r_{token_hex(8)}")
    headers, body = port_hook.sign({"runId": run.id, "vm": {"title": "dev-env", "cpu": "many"}})
    assert post(url, headers, body) == 202
    ended = port_sandbox.wait_for_end(run.id)
    assert ended.status == "FAILURE"
    assert ended.summary == "The VM was not created: it needs a title and a whole number of CPUs"


def test_the_handler_passes_all_checks(port_hook: PortHook, url: str) -> None:
    assert port_hook.check(url, "create_vm.yaml", strict=True).ok()
