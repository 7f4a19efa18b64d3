"""Prism, installed into `.bench/` from npm, as a server of an OpenAPI document.

As a mock, it responds from the document alone, and rejects (422) what the document does not allow. As a proxy before
the sandbox, it rejects invalid requests (422) and invalid responses (500).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.sandbox import Sandbox
from tests.conftest import Run
from tests.sandboxes import a_sandbox, environ_of
from tests.sockets import free_port

RELEASE = "5.14.2"
SCRATCH = Path(__file__).parents[2] / ".bench" / "prism"


def installed() -> Path:
    """Return the path of the program, and install it first if it is missing. Skip the test without npm."""
    program = SCRATCH / "node_modules" / ".bin" / "prism"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not on this machine")
        SCRATCH.mkdir(parents=True, exist_ok=True)
        (SCRATCH / "package.json").write_text('{"private": true}')
        subprocess.run([npm, "install", "--silent", f"@stoplight/prism-cli@{RELEASE}"], cwd=SCRATCH, check=True)
    return program


@contextmanager
def serving(prism: Path, *arguments: str, document: Path) -> Iterator[str]:
    """Run Prism and yield its URL. It cannot use port 0, so this looks for a free port."""
    port = free_port()
    command = [str(prism), arguments[0], "-h", "127.0.0.1", "-p", str(port), str(document), *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "Prism is listening" in line:
                    break
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def behind(prism: Path, document: Path, **options: Any) -> Iterator[tuple[Sandbox, dict[str, str]]]:
    """Yield a sandbox with `options`, and the environment that leads to it through Prism."""
    with (
        a_sandbox(**options) as sandbox,
        serving(prism, "proxy", sandbox.url, "--errors", document=document) as url,
    ):
        yield sandbox, {**environ_of(sandbox), "PORT_API_URL": url}


def check_report(prism: Path, document: Path, run: Run, run_id: str, *flags: str) -> None:
    """Fail if the document does not allow what `report-run` sends about a run.

    The mock's runs have ended, at random, and report-run would reject them: so each call is sent separately.
    """
    with serving(prism, "mock", document=document) as url:
        env = {"PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": "secret", "PORT_API_URL": url}
        (record,) = run("report-run", run_id, *flags, "--dry-run", "--json", env=env).records
        assert record["calls"]
        for call in record["calls"]:
            response = httpx.request(
                call["method"], call["url"], json=call["body"], headers={"authorization": "Bearer x"}, timeout=30
            )
            assert response.is_success, response.text
