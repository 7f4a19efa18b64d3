"""Keys typed while a listener runs, on a pseudo terminal with a small shell between."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.prepared import Popen
from tests.processes import environment

if sys.platform == "win32":
    pytest.skip("pseudo terminals are POSIX", allow_module_level=True)

import termios

# A minimal shell with job control: it runs one Python command in the foreground, continues it when it is stopped, and
# reports the state of the terminal. It has no command line, and knows one job, which is a fork.
SHELL = """
import fcntl, os, resource, select, signal, sys, termios
from tests.prepared_interpreter import run

os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it

def echo():
    return "on" if termios.tcgetattr(0)[3] & termios.ECHO else "off"

job = os.fork()
if not job:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    print(f"pid {os.getpid()}", flush=True)
    run([sys.executable, *sys.argv[1:]])
    sys.exit()
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpid())
    if not os.WIFSTOPPED(status):
        break
    print(f"stopped, echo {echo()}", flush=True)
    os.tcsetpgrp(0, job)
    os.kill(job, signal.SIGCONT)
left = os.read(0, 1000) if select.select([0], [], [], 0)[0] else b""
print(f"ended with {os.waitstatus_to_exitcode(status)}, echo {echo()}, typed {left!r}", flush=True)
"""

# What runs while keys are hidden, and has a defect.
CRASH = """
import sys
from types import SimpleNamespace
from port_hook_cli.terminal.echo import typed_keys_hidden
with typed_keys_hidden(SimpleNamespace(stdin=sys.stdin.buffer, stdout=sys.stdout, environ={})):
    print("hidden", flush=True)
    sys.stdin.readline()
    raise RuntimeError("a defect")
"""

# A listener whose typed key is discarded, as Ctrl-C does, after the event loop finds the terminal readable.
DISCARDED = """
import asyncio, select, sys, termios
from types import SimpleNamespace
from port_hook_cli.listener.keys import KeyCommands
from port_hook_cli.terminal.echo import typed_keys_hidden

async def main():
    runtime = SimpleNamespace(stdin=sys.stdin.buffer, stdout=sys.stdout, environ={})
    show = lambda line: print(line, flush=True)
    stop = asyncio.Event()
    with typed_keys_hidden(runtime, at_once=True):
        keys = KeyCommands(runtime, None, None, toggle=lambda: True)
        with keys.reading(None, SimpleNamespace(is_paused=False, toggle=None), show, lambda: "", stop):
            select.select([0], [], [])
            # The event loop's next turn finds the terminal readable, then runs this, and then reads.
            asyncio.get_running_loop().call_soon(termios.tcflush, 0, termios.TCIFLUSH)
            for _ in range(2):
                await asyncio.sleep(0)
            show("Still running.")
            await stop.wait()

asyncio.run(main())
"""


@dataclass
class Terminal:
    """A pseudo terminal with the shell on it, and all that was written there."""

    master: int
    raw: bytearray = field(default_factory=bytearray)

    def wait_for(self, pattern: str) -> str:
        """Read until `pattern` matches the output. Return its first group."""
        until = time.monotonic() + 30
        while not (match := re.search(pattern, self.raw.decode())):
            assert select.select([self.master], [], [], max(0.0, until - time.monotonic()))[0], self.raw
            self.raw += os.read(self.master, 65536)
        return match[1] if match.groups() else match[0]

    def wait_for_echo(self, *, on: bool) -> None:
        """Wait until the terminal's echo is on or off: nothing tells of it."""
        until = time.monotonic() + 30
        while bool(termios.tcgetattr(self.master)[3] & termios.ECHO) is not on:
            assert time.monotonic() < until, self.raw
            time.sleep(0.01)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@contextmanager
def a_shell(folder: Path, *command: str, script: str = SHELL, **variables: str) -> Iterator[Terminal]:
    master, slave = os.openpty()
    root = str(Path(__file__).parents[2])
    shell = Popen(
        [sys.executable, "-c", script, *command],
        cwd=folder,
        env=environment(folder, PYTHONPATH=root, TERM="xterm", COLUMNS="120", PYTHON_COLORS="0", **variables),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    try:
        yield Terminal(master)
    finally:
        shell.kill()  # the terminal hangs up on what runs on it
        shell.wait(30)
        os.close(slave)
        os.close(master)


LISTEN = ("-m", "port_hook_cli", "listen", "--port", "0")


@pytest.mark.parametrize(
    ("stop", "code"), [("\x03", 0), ("SIGTERM", 0), ("\x1c", -3)], ids=["ctrl-c", "sigterm", "ctrl-backslash"]
)
def test_keys_typed_during_listen_are_neither_shown_nor_left_for_the_shell(folder: Path, stop: str, code: int) -> None:
    with a_shell(folder, *LISTEN) as terminal:
        pid = int(terminal.wait_for(r"pid (\d+)"))
        terminal.wait_for(r"Stop with Ctrl-C\.")
        terminal.wait_for_echo(on=False)
        terminal.type("rm -rf everything\n")
        if stop == "SIGTERM":
            os.kill(pid, 15)
        else:
            terminal.type(stop)
        end = terminal.wait_for(r"ended with .*\n").strip()
    assert end == f"ended with {code}, echo on, typed b''"
    assert b"everything" not in terminal.raw


def test_ctrl_z_restores_the_echo_until_the_listener_continues(folder: Path) -> None:
    with a_shell(folder, *LISTEN) as terminal:
        terminal.wait_for(r"Stop with Ctrl-C\.")
        terminal.wait_for_echo(on=False)
        terminal.type("\x1a")
        assert terminal.wait_for(r"stopped, echo (\w+)") == "on"
        terminal.wait_for_echo(on=False)
        terminal.type("\x03")
        assert terminal.wait_for(r"ended with (.*)\r\n") == "0, echo on, typed b''"


def test_keys_discarded_before_they_are_read_do_not_block_the_listener(folder: Path) -> None:
    with a_shell(folder, "-c", DISCARDED) as terminal:
        terminal.wait_for(r"Press \? for the keys\.")
        terminal.type("f")
        terminal.wait_for(r"Still running\.")
        terminal.type("?q")
        assert terminal.wait_for(r"ended with (.*)\r\n") == "0, echo on, typed b''"
    assert b"show these keys" in terminal.raw
    assert b"Showing one line" not in terminal.raw


def test_crash_restores_the_echo(folder: Path) -> None:
    with a_shell(folder, "-c", CRASH) as terminal:
        terminal.wait_for("hidden")
        terminal.wait_for_echo(on=False)
        terminal.type("x\n")
        assert terminal.wait_for(r"ended with (.*)\r\n") == "1, echo on, typed b''"
    assert b"RuntimeError: a defect" in terminal.raw


def test_disabled_echo_stays_off(folder: Path) -> None:
    with a_shell(folder, *LISTEN) as terminal:
        settings = termios.tcgetattr(terminal.master)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(terminal.master, termios.TCSANOW, settings)
        terminal.wait_for(r"Stop with Ctrl-C\.")
        terminal.type("\x03")
        assert terminal.wait_for(r"ended with (.*)\r\n") == "0, echo off, typed b''"


def test_echo_stays_on_when_another_program_may_read_the_keys(folder: Path) -> None:
    to_file = "os.dup2(os.open('out', os.O_WRONLY | os.O_CREAT), 1)"
    script = f"import os, sys; {to_file}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with a_shell(folder, "-c", script, *LISTEN, "--stop-after", "0.5") as terminal:
        terminal.wait_for(r"Stop with Ctrl-C\.")
        terminal.type("hello\n")
        terminal.wait_for(r"ended with 0, echo on")
    assert b"hello" in terminal.raw
