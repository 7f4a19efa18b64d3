"""Ctrl-C and SIGTERM before a command has come to what it does.

Limit: what comes before `main`, the start of Python and the import of typer, is Python's own and ends as Python ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories import a_body
from tests.processes import environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for a child alone")

# Sends itself a signal when Python tells of an event for the first time: the import of a module, or a call.
PROGRAM = """
import os, sys
from port_hook_cli.cli.app import main

number, *wanted = int(sys.argv[1]), *sys.argv[2].split()

def on_event(event, args):
    if wanted and event == wanted[0] and (len(wanted) == 1 or args[0] == wanted[1]):
        wanted.clear()
        print("sent", file=sys.stderr, flush=True)
        os.kill(os.getpid(), number)

sys.addaudithook(on_event)
sys.argv[1:] = sys.argv[3:]
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "moment",
    [
        "import port_hook_cli.port_api.settings",
        "import port_hook_cli.port_api.credentials",
        "import port_hook_cli.listener.session",
        "import asyncio",
        "import aiohttp",
        "import port_hook_cli.listener.pipeline",
        "import port_hook_cli.listener.screen",
        "sqlite3.connect",
        "socket.bind",
    ],
)
def test_a_listener_that_is_stopped_before_it_is_ready_ends_well_and_says_nothing(
    folder: Path, number: int, moment: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number)), moment, "listen", "--json", "--port", "0", "--timeout", "5"],
        cwd=folder, env=environment(folder), capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
    assert ended.stderr.startswith(b"sent\n")
    if moment.startswith("import"):
        assert (ended.stdout, ended.stderr) == (b"", b"sent\n")


def test_a_terminated_replay_leaves_no_payload_and_no_editor_behind(folder: Path) -> None:
    temporary = folder / "tmp"
    temporary.mkdir()
    (folder / "payload.json").write_bytes(a_body())
    editor = folder / "editor.py"
    editor.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    env = environment(folder, EDITOR=f"{sys.executable} {editor}", TMPDIR=str(temporary))
    command = [sys.executable, "-m", "port_hook_cli", "replay", "payload.json", "--to", "1", "--edit"]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert len(list(temporary.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (-signal.SIGTERM, b"")
    assert list(temporary.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
