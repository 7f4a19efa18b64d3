"""A sandbox killed at any moment: its state file has everything that it acknowledged, and nothing incomplete."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.sandbox.state_file import StateFile
from tests.factories import RUN_ID
from tests.processes import KILLS, environment

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="it forks, and kills with SIGKILL")]

POINTS = KILLS or 12
# For each line on stdin, forks a child that takes the state file up and makes calls as fast as it can, each saved
# before it is acknowledged, as the server does. After as many acknowledgements as the line says, the child is killed,
# wherever it is then. A round of calls logs how many logs there are, changes an entity for the run, and starts a run.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
from port_hook_cli.sandbox.messages import ApiRequest
from port_hook_cli.sandbox.routes import respond
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.sandbox.state_file import StateFile
from tests.factories import RUN_ID

def live(path, out):
    with StateFile.open(path) as file:
        state = SandboxState(now=lambda: 1.0)
        rows = list(file.rows())
        state.restore(rows)
        if not rows:
            state.initialize(sample=True)
        token = state.issue_token()
        def call(method, path, body, **query):
            segments = tuple(path.split("/"))
            given = respond(state, ApiRequest(method=method, segments=segments, query=query, token=token,
                                             body=json.dumps(body).encode()))
            assert given.status < 300, given
            file.write(state.changes())
            state.clear_changes()
            os.write(out, b".")
        run = state.find_run(RUN_ID)[0]
        while True:
            call("POST", f"v1/actions/runs/{RUN_ID}/logs", {"message": str(len(run.logs))})
            call("POST", "v1/blueprints/vm/entities", {"identifier": "e", "properties": {"n": len(run.entities)}},
                 upsert="true", run_id=RUN_ID)
            call("POST", "v1/actions/create_vm/runs", {"properties": {"title": "x" * 2000}})

path = Path(sys.argv[1])
for line in sys.stdin:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        live(path, writing)
    os.close(writing)
    acked = 0
    while acked < int(line):
        acked += len(os.read(reading, 1))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while more := os.read(reading, 65536):
        acked += len(more)
    os.close(reading)
    print(acked, status, flush=True)
"""


def restored(path: Path) -> SandboxState:
    state = SandboxState(now=lambda: 1.0)
    with StateFile.open(path) as file:
        state.restore(file.rows())
    return state


def calls_in(state: SandboxState) -> int:
    """Return how many calls the state holds, having checked that none of them is there by halves."""
    if RUN_ID not in state.runs:
        return 0
    run = state.runs[RUN_ID]
    assert [log["message"] for log in run.logs] == [str(number) for number in range(len(run.logs))]
    changes = len(run.entities)
    assert [entity["properties"]["n"] for entity in state.entities.values()] == ([changes - 1] if changes else [])
    started = [other for other in state.runs.values() if other.id != RUN_ID]
    assert all(other.start.properties["title"] == "x" * 2000 for other in started)
    assert set(state.actions) == {"create_vm"}
    return len(run.logs) + changes + len(started)


@pytest.mark.extended
def test_kills_at_any_moment_lose_no_acknowledged_data_of_the_sandbox(tmp_path: Path) -> None:
    chance = random.Random(20261124)  # noqa: S311 - as many calls before each kill every time
    file = tmp_path / "sandbox.db"
    root = str(Path(__file__).parents[2])
    held = 0
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(file)],
        cwd=root,
        env=environment(tmp_path, PYTHONPATH=root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(POINTS):
            process.stdin.write(f"{chance.randint(0, 12)}\n")
            process.stdin.flush()
            acked, status = map(int, process.stdout.readline().split())
            assert status == signal.SIGKILL
            found = calls_in(restored(file)) if file.exists() else 0
            assert held + acked <= found <= held + acked + 1
            held = found
        process.stdin.close()
    sys.stdout.write(f"\nsandbox: {held} calls held, {POINTS} kills, 0 lost\n")
    assert held > POINTS
    assert file.stat().st_mode & 0o777 == 0o600
