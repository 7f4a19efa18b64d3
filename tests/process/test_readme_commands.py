"""The command lines of the README and its like, typed one after another, as a new user would type them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation import ROOT, TYPED, blocks
from tests.prepared_shell import path_with_port_hook
from tests.processes import environment

pytestmark = pytest.mark.once

_KEEPS_ITS_TERMINAL = re.compile(
    r"port-hook (sandbox|listen)\b|(handler|workflow_handler)\.py\b|\b(flask|moto_server) "
)
_READY = {
    "sandbox": "Every call is shown",
    "listen": "Stop with Ctrl-C",
    "handler": "listening on",
    "workflow_handler": "listening on",
    "flask": "Running on",
    "moto_server": "Running on",
}
_PORTS = {"8000": ("handler", "flask", "workflow_handler"), "8787": ("listen",), "8791": ("moto_server",)}


class Terminals:
    """A user in a copy of the clone: a command that goes on has a terminal of its own, the others run to their end.

    The ports of the pages are replaced by free ports: 0 for a server, and its actual port afterward.
    """

    def __init__(self, folder: Path, path: str) -> None:
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("node_modules"))
        self._folder, self._env = folder, environment(folder, PATH=path)
        del self._env["PORT_CLIENT_SECRET"]  # the pages have it from .env
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._ports: dict[str, str] = {}

    def type(self, block: str) -> list[str]:
        """Type each line of a block. Return the output of the commands that ended."""
        printed, setup = [], "set -e"
        for line in block.splitlines():
            if re.match(r"\. \S+$", line):
                setup += f"\n{line}"
            elif match := _KEEPS_ITS_TERMINAL.search(line):
                self._start(next(filter(None, match.groups())), setup, line)
            elif line:
                printed.append(self._finish(setup, line))
        return printed

    def type_failing(self, line: str) -> str:
        """Type a line with a failing command. Return its stdout."""
        return self._finish("set -e", f"! {{ {line}; }}")

    def wait_for(self, name: str, text: str) -> str:
        """Read the output of a running program up to a line with `text`. Return all of it."""
        output, seen = self._running[name].stdout, []
        assert output is not None
        for line in output:
            seen.append(line)
            if text in line:
                return "".join(seen)
        raise AssertionError(f"{name} ended without {text!r}:\n{''.join(seen)}")

    def close(self) -> None:
        for name in reversed(list(self._running)):  # a listener restores its action in the sandbox
            self._stop(name)

    def _start(self, name: str, setup: str, line: str) -> None:
        if name in self._running:  # the pages say to stop the one before
            self._stop(name)
        line = line.replace("port-hook listen", "port-hook listen --port 0")
        line = re.sub(r"(--port|handler\.py|workflow_handler\.py) \d{4}", r"\1 0", line)
        self._running[name] = subprocess.Popen(
            ["sh", "-c", f"{setup}\n{self._with_ports(line)}"],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        told = self.wait_for(name, _READY[name])
        self._ports[name] = next(iter(re.findall(r"(?:ing on) +http://127\.0\.0\.1:(\d+)", told)), "")

    def _finish(self, setup: str, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", f"{setup}\n{self._with_ports(line)}"],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _with_ports(self, line: str) -> str:
        return re.sub(r"(?<=to |\.1:| 0 )(8000|8787|8791)\b", lambda match: self._port(match[1]), line)

    def _port(self, shown: str) -> str:
        return next(self._ports[name] for name in _PORTS[shown] if name in self._ports)

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture
def terminals(folder: Path, tmp_path: Path) -> Iterator[Terminals]:
    with path_with_port_hook(tmp_path / "bin") as path:
        terminals = Terminals(folder, path)
        yield terminals
        terminals.close()


def test_commands_in_the_readme_work_without_port(terminals: Terminals, folder: Path) -> None:
    printed = [text for block in TYPED["README.md"] for text in terminals.type(block)]

    node, action, found = printed
    assert "responded  202 Accepted" in node
    assert "responded  202 Accepted" in action
    assert re.search(r"(\d+) checks in .*: \1 passed\.", found)
    told = terminals.wait_for("sandbox", "status SUCCESS")
    assert "status COMPLETED, result SUCCESS" in told
    assert 'log "creating dev-env with 4 CPUs"' in told
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_commands_on_the_page_without_port_work(terminals: Terminals) -> None:
    printed = [text for block in TYPED["docs/start/sandbox.md"] for text in terminals.type(block)]

    via_port, triggered, replayed, signed, rendered, anew = printed
    assert re.search(r"SUCCESS +dev-env is up$", via_port.strip())
    assert "responded  202 Accepted" in triggered
    assert replayed.startswith("202 Accepted")
    assert "--header 'x-port-signature: v1," in signed
    assert '"message": "Scale Checkout to 4"' in rendered
    assert anew.startswith("202 Accepted")


@pytest.mark.extended
def test_commands_on_the_page_of_examples_work(terminals: Terminals) -> None:
    [trying] = TYPED["examples/README.md"]
    node, action = terminals.type(trying)
    assert "responded  202 Accepted" in node
    assert "responded  202 Accepted" in action
    assert "result SUCCESS" in terminals.wait_for("sandbox", "status SUCCESS")


@pytest.mark.extended  # as its suite in test_example_suites.py
def test_commands_on_the_page_of_the_s3_example_work(terminals: Terminals) -> None:
    [block] = blocks("examples/s3-bucket/README.md", "Run it in the sandbox")
    [triggered] = terminals.type(block)
    assert "Created arn:aws:s3:::invoices." in triggered
    assert re.search(r"SUCCESS +The bucket invoices is ready\.$", triggered.strip())
    again = terminals.type_failing(block.splitlines()[-1])
    assert re.search(r"FAILURE +The name invoices is taken: ", again)


@pytest.mark.extended
def test_commands_on_the_page_of_workflows_work(terminals: Terminals) -> None:
    page = "docs/send/workflows.md"
    start, run, *_ = blocks(page)
    terminals.type(start)
    [triggered] = terminals.type(f". ./.env\n{run}")
    assert '"ready":true' in triggered
    *_, point = blocks(page, "Point a workflow node at your machine")
    [via_port] = terminals.type(f". ./.env\n{point}")
    assert re.search(r"wfr_\w+  SUCCESS$", via_port.strip())
    [again] = blocks(page, "Run one node with the outputs of the latest run")
    [node] = terminals.type(f". ./.env\n{again}")
    assert "responded  20" in node


@pytest.mark.extended  # as its suite in test_example_suites.py
def test_commands_on_the_page_of_the_template_example_work(terminals: Terminals) -> None:
    prepare, run, look = blocks("examples/software-template/README.md", "Run it in the sandbox")
    terminals.type(prepare)
    [triggered] = terminals.type(run)
    assert re.search(r"SUCCESS +The repository of billing is ready\.$", triggered.strip())
    [log] = terminals.type(look)
    assert "Create billing from the template" in log
    assert "server.mjs" in log
    again = terminals.type_failing(run.splitlines()[-1])
    assert re.search(r"FAILURE +The repository of billing is not empty\.", again)


@pytest.mark.extended
def test_next_command_of_the_demo_accepts_the_handler_of_the_readme(terminals: Terminals) -> None:
    for block in TYPED["README.md"]:
        terminals.type(block)
    after = (ROOT / "docs" / "install" / "install.md").read_text("utf-8").split("\nNext, ", 1)[1].split("```", 1)[0]
    [find, listen] = re.findall(r"(?m)^  (port-hook .*?)   ", after)
    assert re.search(r"(\d+) checks in .*: \1 passed\.", terminals.type(find)[0])
    assert listen == "port-hook listen 8000"
