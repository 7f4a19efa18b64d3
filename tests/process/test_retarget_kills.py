"""A process is killed while it retargets an action or a workflow node, at any moment: `restore` undoes the change."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.retargeting import settable
from port_hook_cli.sandbox import ApiEvent, Sandbox
from port_hook_cli.workflows.retargeting import settable_workflow
from tests.processes import KILLS, environment, port_hook
from tests.retargets import ONE, TWO, a_workflow, an_action, journal_files, node_config
from tests.sandboxes import a_sandbox, environ_of

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="it forks, and kills with SIGKILL")]

POINTS = max(KILLS, 16)
ONE_IN = 4 if KILLS >= 40 else 2  # so many are killed by a call, the others by a line
# Forks a child for each line `NAME LINE` on stdin. The child points the action or node at one URL, at another and back,
# as a listener does, and kills itself, with no chance to clean up, before the LINE-th line of port-hook's own code that
# it runs (0: never). When it has ended, `NAME PID STATUS LINES-RUN` is printed.
DRIVER = """
import asyncio, os, sys
from pathlib import Path
from port_hook_cli.sandbox import Sandbox
from tests.retargets import ONE, TWO, a_retargeting
from port_hook_cli.text.secret import Secret
from tests.tracing import KilledAtLine

lines = KilledAtLine(
    "retarget/flow.py", "retarget/journal.py", "files/own_files.py", "port_api/client.py", "port_api/connection.py"
)

async def listen(name):
    async with a_retargeting(os.environ["PORT_API_URL"], Path.home(), client_id=os.environ["PORT_CLIENT_ID"],
                             client_secret=Secret(os.environ["PORT_CLIENT_SECRET"])) as flow:
        await flow.prepare([name])
        await flow.apply(ONE)
        await flow.apply(TWO)
        await flow.restore()

for order in sys.stdin:
    name, last = order.split()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        sys.settrace(lines.before(int(last)))
        asyncio.run(listen(name))
        sys.settrace(None)
        os.write(writing, str(lines.ran).encode())
        os._exit(0)
    print(name, child, flush=True)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    print(name, child, status, os.read(reading, 20).decode() or 0, flush=True)
    os.close(reading)
"""


class Driver:
    """The process above, and the children that are to be killed by what the sandbox sees."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._child = 0
        self._known = threading.Event()
        self._calls_left = 0

    def run(self, name: str, *, line: int = 0, call: int = 0) -> tuple[int, int]:
        """Let one child live, and return its status and how many lines it ran.

        It is killed before its line `line`, or when the sandbox has made its `call`th call without responding.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._calls_left = call
        self._known.clear()
        self._process.stdin.write(f"{name} {line}\n")
        self._process.stdin.flush()
        self._child = int(self._process.stdout.readline().split()[1])
        self._known.set()
        _, _, status, ran = self._process.stdout.readline().split()
        return int(status), int(ran)

    def on_event(self, _: ApiEvent) -> None:
        """Count the calls of the live child, in the sandbox's thread, before the response is sent."""
        if self._calls_left:
            self._calls_left -= 1
            if not self._calls_left and self._known.wait(30):
                os.kill(self._child, signal.SIGKILL)


@contextmanager
def a_driver(home: Path, **options: Any) -> Iterator[tuple[Driver, Sandbox]]:
    drivers: list[Driver] = []

    def on_event(event: ApiEvent) -> None:
        drivers[0].on_event(event)

    with a_sandbox(on_event=on_event, **options) as sandbox:
        root = str(Path(__file__).parents[2])
        with subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            cwd=root,
            env=environment(home, PYTHONPATH=root) | environ_of(sandbox),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            drivers.append(Driver(process))
            yield drivers[0], sandbox


def texts(sandbox: Sandbox) -> dict[str, str]:
    """Every action and workflow as JSON text, key by key, but for what Port sets itself."""
    actions = {name: json.dumps({"id": action["id"], **settable(action)}) for name, action in sandbox.actions.items()}
    workflows = {name: json.dumps(settable_workflow(each)) for name, each in sandbox.workflows.items()}
    return actions | {f"workflow {name}": text for name, text in workflows.items()}


def urls(sandbox: Sandbox) -> Counter[Any]:
    nodes = [node_config(each, node)["url"] for each in sandbox.workflows.values() for node in ("check", "deploy")]
    return Counter([*nodes, *(action["invocationMethod"]["url"] for action in sandbox.actions.values())])


def name_of(number: int) -> str:
    """Return two actions, then the two nodes of one workflow, and so on."""
    if number // 2 % 2 == 0:
        return f"vm_{number}"
    return f"flow_{number // 4}#{('check', 'deploy')[number % 2]}"


@pytest.mark.extended
def test_kills_at_any_moment_leave_every_retargeted_action_and_node_correct(tmp_path: Path) -> None:
    chance = random.Random(20261124)  # noqa: S311 - the same kills each time
    workflows = [a_workflow(f"flow_{number}") for number in range(POINTS // 4 + 1)]
    with a_driver(tmp_path, workflows=workflows) as (driver, sandbox):
        for number in (*range(POINTS), "last"):
            sandbox.add_action(an_action(f"vm_{number}"))
        before = texts(sandbox)
        driver.run("vm_last")  # makes the journal's folders, which the others find
        status, lines = driver.run("vm_last")
        assert (status, texts(sandbox)) == (0, before)
        assert lines > 200
        calls = 8  # token, GET; GET, PUT; GET, PUT; GET, PUT
        for number in range(POINTS):
            by_line = number % ONE_IN != 0
            status, _ = driver.run(
                name_of(number),
                line=chance.randint(1, lines) if by_line else 0,
                call=0 if by_line else number // ONE_IN % calls + 1,
            )
            assert status == signal.SIGKILL
        # Otherwise, the test would show nothing. Every state after a kill must occur, including unknown responses.
        found = urls(sandbox)
        assert all(found[url] >= max(1, POINTS // 20) for url in (ONE, TWO, "https://example.com"))
        assert sum(path.suffix == ".json" for path in journal_files(tmp_path)) > sum(
            urls(sandbox)[url] for url in (ONE, TWO)
        )
        env = environment(tmp_path, **environ_of(sandbox))
        done = port_hook(tmp_path, "restore", env=env, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert texts(sandbox) == before
        assert [path for path in journal_files(tmp_path) if path.suffix == ".json"] == []
        assert port_hook(tmp_path, "restore", env=env, text=True).stdout == "Nothing to restore.\n"
    wrong = found[ONE] + found[TWO]
    sys.stdout.write(
        f"\nretarget: {POINTS} kills, {wrong} actions and nodes left pointing elsewhere, 0 after `restore`\n"
    )
