"""Ctrl-C and SIGTERM before a command has come to what it does.

Limit: what comes before `main`, the start of Python, is Python's own and ends as Python ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import prepared
from tests.factories import a_body
from tests.prepared import Popen
from tests.processes import environment, running

ACTION = Path(__file__).parents[2] / "examples" / "actions" / "create_vm.json"

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


def stopped(
    folder: Path, number: int, moment: str, *arguments: str, stdin: int | None = None, program: str = PROGRAM
) -> subprocess.CompletedProcess[bytes]:
    """Run port-hook, and send it the signal `number` at the given moment."""
    command = [sys.executable, "-c", program, str(int(number)), moment, *arguments]
    # Only a new interpreter is sure to import a module.
    run = subprocess.run if moment.startswith("import") else prepared.run
    return run(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        timeout=30,
    )


def test_ctrl_c_during_the_import_of_typer_shows_no_traceback(folder: Path) -> None:
    program = PROGRAM.replace("port_hook_cli.cli.app", "port_hook_cli.cli.entry")
    ended = stopped(folder, signal.SIGINT, "import typer", "captures", program=program)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"sent\n")


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("import port_hook_cli.port_api.settings", signal.SIGINT),
        ("import asyncio", signal.SIGTERM),
        ("import port_hook_cli.listener.screen", signal.SIGINT),
        ("sqlite3.connect", signal.SIGTERM),
        ("socket.bind", signal.SIGINT),
    ],
)
def test_listen_exits_0_without_output_when_it_is_stopped_before_it_is_ready(
    folder: Path, number: int, moment: str
) -> None:
    ended = stopped(folder, number, moment, "listen", "--json", "--port", "0", "--stop-after", "5")
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
    assert ended.stderr.startswith(b"sent\n")
    if moment.startswith("import"):
        assert (ended.stdout, ended.stderr) == (b"", b"sent\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_exits_0_with_its_summary_when_it_is_stopped_while_its_server_is_imported(
    folder: Path, number: int
) -> None:
    ended = stopped(folder, number, "import aiohttp", "listen", "--json", "--port", "0", "--stop-after", "5")
    assert ended.returncode == 0
    assert b"Traceback" not in ended.stderr
    assert [json.loads(line)["type"] for line in ended.stdout.splitlines()] == ["ready", "summary"]


@pytest.mark.parametrize(
    ("moment", "arguments"),
    [("import port_hook_cli.assistant.server", ("mcp",)), ("import asyncio", ("--profile", "a", "listen"))],
    ids=("mcp", "listen with a profile"),
)
def test_server_exits_0_without_output_when_it_is_terminated_before_it_is_ready(
    folder: Path, moment: str, arguments: tuple[str, ...]
) -> None:
    ended = stopped(folder, signal.SIGTERM, moment, *arguments, stdin=subprocess.PIPE)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"sent\n")


def test_replay_deletes_the_payload_and_ends_the_editor_when_it_is_terminated(folder: Path) -> None:
    temporary = folder / "tmp"
    temporary.mkdir()
    (folder / "payload.json").write_bytes(a_body())
    editor = folder / "editor.py"
    editor.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    env = environment(folder, EDITOR=f"{sys.executable} {editor}", TMPDIR=str(temporary))
    with running(folder, "replay", "payload.json", "--to", "1", "--edit", env=env) as process:
        pid = int(process.stdout.readline())
        assert len(list(temporary.iterdir())) == 1
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGTERM, b"")
    assert list(temporary.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def wait_until_it_reads(process: Popen) -> None:
    """Return once the process has read what is in its stdin, and sleeps until there is more."""
    import array
    import fcntl
    import termios

    pending, deadline = array.array("i", [1]), time.monotonic() + 30
    while time.monotonic() < deadline:
        fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, pending)
        if not pending[0] and psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING:
            return
        time.sleep(0.01)  # no event tells of a process that goes to sleep
    pytest.fail("it does not read")


@pytest.mark.parametrize(
    "arguments",
    [
        "replay - --to 1",
        "trigger action.json --input title=x --to 1 --secret-file -",
        "decrypt -",
    ],
)
def test_ctrl_c_ends_a_command_reading_stdin(folder: Path, arguments: str) -> None:
    (folder / "payload.json").write_bytes(a_body())
    shutil.copy(ACTION, folder / "action.json")
    env = environment(folder, PORT_CLIENT_ID="an-id")
    with running(folder, *arguments.split(), env=env, stdin=subprocess.PIPE) as process:
        process.stdin.write(b" ")
        process.stdin.flush()
        wait_until_it_reads(process)
        process.send_signal(signal.SIGINT)
        # stdin stays open: only the signal can end it.
        code = process.wait(timeout=30)
        assert (code, process.stderr.read()) == (130, b"")
