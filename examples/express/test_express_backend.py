"""Tests of the backend over HTTP. It is started once, as a process with the credentials of the sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from port_hook_cli.pytest_plugin import PortHook

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def url(port_environ: dict[str, str]) -> Iterator[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    if subprocess.run([node, "-e", "require('express')"], cwd=HERE, capture_output=True, check=False).returncode:
        pytest.skip("Express is not installed: run `npm ci` in this folder")
    command = [node, "server.js", "0"]
    with subprocess.Popen(
        command, cwd=HERE, env={**os.environ, **port_environ}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.kill()


def test_a_vm_is_created(port_hook: PortHook, url: str) -> None:
    run = port_hook.invoke("create_vm.yaml", {"title": "dev-env", "cpu": 4}, to=url)
    assert (run.status, run.summary) == ("SUCCESS", "dev-env is up")
    assert run.logs == ("creating dev-env with 4 CPUs",)
    assert run.backend_response is not None
    assert run.backend_response.status == 202


def test_the_raw_bytes_are_verified(port_hook: PortHook, url: str) -> None:
    run = port_hook.invoke("create_vm.yaml", {"title": "zoë \u2028 1e21"}, to=url)
    assert run.summary == "zoë \u2028 1e21 is up"


def test_a_request_of_another_organization_is_refused(port_hook: PortHook, url: str) -> None:
    import urllib.error
    import urllib.request

    headers, body = port_hook.sign({"runId": "r_0123456789abcdef", "vm": {}}, secret="another")
    request = urllib.request.Request(f"{url}/port/create-vm", body, headers)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)
