"""`report-run RUN -- COMMAND` in a terminal: what the command sees, and what the user's keys do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # it has no types
import pytest

from port_hook_cli.sandbox import Sandbox
from tests.factories import RUN_ID
from tests.processes import environment, typed
from tests.sandboxes import a_sandbox, environ_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


def typed_in(sandbox: Sandbox, folder: Path, program: str) -> Any:
    env = environment(folder, TERM="xterm", **environ_of(sandbox))
    words = ("report-run", RUN_ID, "--", sys.executable, "-c", program)
    return typed(folder, *words, env=env, dimensions=(24, 80))


def messages(sandbox: Sandbox) -> str:
    return "\n".join(log["message"] for log in sandbox.runs[RUN_ID].logs)


LOOKS = """
import os, sys
print([stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)], os.get_terminal_size(1), flush=True)
print('you typed', input())
sys.stderr.write('last\\n')
"""


def test_command_in_a_terminal_has_a_terminal_of_the_same_size_and_reads_the_keys(tmp_path: Path) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox:
        child = typed_in(sandbox, tmp_path, LOOKS)
        child.expect_exact("[True, True, True] os.terminal_size(columns=80, lines=24)\r\n")
        child.sendline("hello")
        child.expect_exact("you typed hello\r\nlast\r\n")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        assert messages(sandbox).endswith("you typed hello\nlast")


WAITS = """
import signal, sys
count = 0
def end(number, _):
    global count
    count += 1
    signal.alarm(1)
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGALRM, lambda *_: (print('interrupts:', count, flush=True), sys.exit(6)))
print('ready', flush=True)
while True:
    signal.pause()
"""


def test_ctrl_c_in_a_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox:
        child = typed_in(sandbox, tmp_path, WAITS)
        child.expect_exact("ready")
        child.sendintr()
        child.expect_exact("interrupts: 1\r\n")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 6
        state = sandbox.runs[RUN_ID]
        assert (state.report.status, state.report.status_label) == ("FAILURE", "Interrupted")


SIZES = """
import os, signal, sys
def look(*_):
    # The terminal sends the first signal, maybe before port-hook has passed the size on; port-hook sends another one.
    if os.get_terminal_size(1).columns == 132:
        print('as wide', flush=True)
        sys.exit()
signal.signal(signal.SIGWINCH, look)
print('ready', flush=True)
while True:
    signal.pause()
"""


def test_command_sees_the_new_size_of_the_terminal(tmp_path: Path) -> None:
    with a_sandbox(runs=[RUN_ID]) as sandbox:
        child = typed_in(sandbox, tmp_path, SIZES)
        child.expect_exact("ready")
        child.setwinsize(24, 132)
        child.expect_exact("as wide\r\n")
        child.expect(pexpect.EOF)
        child.close()
