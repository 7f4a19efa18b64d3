"""The tutorial: a reader who saves its files and types its commands gets what it says."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.prepared_shell import path_with_port_hook
from tests.processes import NO_OTHER_PLUGINS, environment
from tests.sockets import free_port

START = Path(__file__).parents[2] / "docs" / "start"
PAGES = [START / f"{name}.md" for name in ("without-port", "without-port-report", "without-port-test")]
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
    pytest.mark.timeout(600),  # 30 s with nothing else to do
]
_POLLS = 6_000  # of 0.05 s
_BLOCK = re.compile(r"(?s)(?:as `([\w.]+)`:\n\n|<!-- ([a-z ]+): ([^\n]*) -->\n)?```(\w+)\n(.*?)```")


@dataclass(frozen=True)
class Block:
    """A block of code: the file to save it in, or a mark such as `terminal` with its value, and the code."""

    file: str
    mark: str
    value: str
    language: str
    code: str


class Page:
    """The blocks of a page, or of pages in a row."""

    def __init__(self, *paths: Path) -> None:
        self.blocks = [Block(*match) for path in paths for match in _BLOCK.findall(path.read_text("utf-8"))]

    def save(self, folder: Path, port: str) -> None:
        """Save the files of the pages, for a handler on another port than 8000."""
        for block in self.blocks:
            if block.file:
                (folder / block.file).write_text(block.code.replace("8000", port), encoding="utf-8")

    def terminal(self, name: str) -> str:
        return next(block.code for block in self.blocks if block.value == name)

    def expected_output(self) -> str:
        return self.expected_outputs()[0]

    def expected_outputs(self) -> list[str]:
        return [block.code for block in self.blocks if block.language == "text"]


TUTORIAL = Page(*PAGES)


@dataclass
class Reader:
    """Someone who follows the tutorial in a folder, on free ports."""

    folder: Path
    ports: dict[str, str]
    path: str

    def command(self, code: str) -> list[str]:
        for known, free in self.ports.items():
            code = code.replace(known, free)
        code = code.replace("--wait 20", "--wait 200")  # a busy machine takes longer
        return ["sh", "-ec", code]

    @property
    def environ(self) -> dict[str, str]:
        plugins = {**NO_OTHER_PLUGINS, "PYTEST_ADDOPTS": "-p port_hook"}  # as in the environment that the page makes
        environ = environment(self.folder, PATH=self.path, PORT_HOOK_CHECK_WITHIN="400", **plugins)
        return {name: value for name, value in environ.items() if name != "PORT_CLIENT_SECRET"}

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(code), cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
        )

    @contextmanager
    def terminal(self, code: str, shows: str = "") -> Iterator[None]:
        """Run a server in a terminal of its own until the end of the context.

        The context begins when something accepts connections on the server's port, and stderr contains `shows`. Fails
        with stderr if the server ends before that.
        """
        screen = self.folder / f"{uuid4().hex}.stderr"
        with (
            screen.open("wb") as stderr,
            subprocess.Popen(
                self.command(code),
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            ) as process,
        ):
            try:
                port = next(port for known, port in self.ports.items() if known in code)
                for _ in range(_POLLS):
                    if is_open(port) and shows in screen.read_text("utf-8", errors="replace"):
                        break
                    assert process.poll() is None, screen.read_text("utf-8", errors="replace")
                    time.sleep(0.05)
                else:
                    pytest.fail(f"not ready: {code}")
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()  # until the last process has closed stdout
                sys.stderr.write(screen.read_text("utf-8", errors="replace"))


def is_open(port: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
        return True
    return False


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    ports = {known: str(free_port()) for known in ("8790", "8787", "8000", "8001")}
    TUTORIAL.save(tmp_path, ports["8000"])
    with path_with_port_hook(tmp_path / "bin") as path:
        yield Reader(tmp_path, ports, path)


def commands() -> list[Block]:
    """The commands of the first terminal, in the order of the pages."""
    return [block for block in TUTORIAL.blocks if block.language == "sh" and block.mark in {"", "exit code"}]


def test_reader_gets_from_nothing_to_a_tested_handler(reader: Reader) -> None:
    secret, failing, through_listener, replay, wait, tests, check = commands()
    with reader.terminal(secret.code + TUTORIAL.terminal("the handler")):
        rejected = reader.run(secret.code + failing.code)
        assert (rejected.returncode, "401" in rejected.stdout) == (int(failing.value), True), rejected
        first, second, third = through_listener.code.splitlines()
        with reader.terminal(secret.code + TUTORIAL.terminal("the listener")):
            assert reader.run(secret.code + first).returncode == int(through_listener.value)
            verdict = reader.run(secret.code + second)
        found = reader.run(secret.code + third)
    verified, named = TUTORIAL.expected_output().splitlines()
    assert verdict.stdout.startswith(f"{verified}\n"), verdict
    assert (found.returncode, found.stdout.startswith(f"{named}\n")) == (int(through_listener.value), True), found
    fix(reader.folder / "handler.py")
    with reader.terminal(secret.code + TUTORIAL.terminal("the handler")):
        replayed = reader.run(secret.code + replay.code)
        assert (replayed.returncode, "202" in replayed.stdout) == (0, True), replayed
    let_it_report(reader.folder / "handler.py")
    with (
        reader.terminal(TUTORIAL.terminal("the sandbox"), shows="Listening."),
        reader.terminal(TUTORIAL.terminal("the reporting handler")),
    ):
        done = reader.run(wait.code)
        ended = re.search(r"(?s)\nwfr_\w+  SUCCESS\n.*\nr_\w+  SUCCESS", done.stdout)
        assert (done.returncode, bool(ended)) == (0, True), done
    tested = reader.run(tests.code)
    assert (tested.returncode, "3 passed" in tested.stdout) == (0, True), tested.stdout
    found = reader.run(check.code)
    assert (found.returncode, "reports    ✓ 4 of 4" in found.stdout) == (0, True), found
    all_pass = re.search(r"(?m)^(\d+) checks in .*: \1 passed\.$", found.stdout)
    assert (bool(all_pass), "All checks pass." in PAGES[-1].read_text("utf-8")) == (True, True), found
    careless = "or abs(time.time() - int(timestamp)) > 300"
    handler = reader.folder / "handler.py"
    text = handler.read_text("utf-8")
    assert text.count(careless) == 1
    handler.write_text(text.replace(careless, ""), encoding="utf-8")
    found = reader.run(check.code)
    assert (found.returncode, "✗ accepts an old timestamp" in found.stdout) == (1, True), found


def edits() -> list[str]:
    """The code that the pages say to remove or to write, in their order."""
    return [block.code for block in TUTORIAL.blocks if block.language == "python" and not block.file]


def fix(handler: Path) -> None:
    """Remove the line that the first page says."""
    replace(handler, edits()[0], "")


def let_it_report(handler: Path) -> None:
    """Replace the placeholder, as the second page says."""
    _, placeholder, line = edits()
    replace(handler, placeholder, line)


def replace(handler: Path, old: str, new: str) -> None:
    text = handler.read_text("utf-8")
    assert text.count(old) == 1
    handler.write_text(text.replace(old, new), encoding="utf-8")
    shutil.rmtree(handler.parent / "__pycache__", ignore_errors=True)
