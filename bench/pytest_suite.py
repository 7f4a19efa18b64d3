"""A suite as a user would write it, for `bench/run.py pytest`: each test invokes an action and waits for SUCCESS.

The handler is examples/handler.py, a process that is started once. Each test appends its time, in milliseconds, to the
file that BENCH_TIMES names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.pytest_plugin import PortHook

HANDLER = Path(__file__).parents[1] / "examples" / "handler.py"
ACTION: dict[str, Any] = {
    "identifier": "create_vm",
    "trigger": {
        "type": "self-service",
        "operation": "CREATE",
        "userInputs": {"properties": {"title": {"type": "string"}, "cpu": {"type": "number", "default": 2}}},
    },
    "invocationMethod": {
        "type": "WEBHOOK",
        "url": "http://127.0.0.1/",
        "headers": {"x-by": "{{ .trigger.by.user.email }}"},
        "body": {
            "action": "create_vm",
            "context": {"runId": "{{ .run.id }}", "at": "{{ .trigger.at }}"},
            "payload": {"properties": "{{ .inputs }}"},
        },
    },
}


@pytest.fixture(scope="session")
def url(port_environ: dict[str, str]) -> Iterator[str]:
    environ = {**os.environ, **port_environ}
    with subprocess.Popen(
        [sys.executable, str(HANDLER), "0"], env=environ, stdout=subprocess.PIPE, text=True
    ) as handler:
        assert handler.stdout is not None
        yield handler.stdout.readline().split()[-1]
        handler.kill()


@pytest.mark.parametrize("number", range(50))
def test_a_run(port_hook: PortHook, url: str, number: int) -> None:
    started = time.perf_counter()
    run = port_hook.invoke(ACTION, {"title": f"vm-{number}"}, to=url)
    took_ms = (time.perf_counter() - started) * 1000
    assert run.status == "SUCCESS"
    with Path(os.environ["BENCH_TIMES"]).open("a") as file:
        print(took_ms, file=file)
