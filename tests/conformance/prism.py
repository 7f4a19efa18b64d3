"""Prism, installed into `.bench/` from npm, as a proxy before the sandbox.

It rejects requests (422) and responses (500) that an OpenAPI document does not allow.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.sandbox import Sandbox
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
def serving(prism: Path, document: Path, upstream: str) -> Iterator[str]:
    """Run Prism and yield its URL. It cannot use port 0, so this looks for a free port."""
    port = free_port()
    command = [str(prism), "proxy", "-h", "127.0.0.1", "-p", str(port), str(document), upstream, "--errors"]
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
    with a_sandbox(**options) as sandbox, serving(prism, document, sandbox.url) as url:
        yield sandbox, {**environ_of(sandbox), "PORT_API_URL": url}
