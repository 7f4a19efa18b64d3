"""Every command line in the documentation runs, or a reason says why it does not run here.

They run in one folder, beside a sandbox, a handler and a listener on free ports. The tutorials and the page "My
signature is invalid" have tests of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import environment, listener

ROOT = Path(__file__).parents[2]
OWN_TESTS = {
    "from-nothing-to-a-tested-backend.md",
    "through-the-execution-agent.md",
    "my-signature-is-invalid.md",
}
PAGES = [
    page
    for page in (
        ROOT / "README.md",
        ROOT / "docs" / "llms.txt",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    )
    if page.name not in OWN_TESTS and "node_modules" not in page.parts and "{{" not in str(page)
]
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
]

# A line that matches does not run. The first match counts.
NOT_RUN = {
    r"port-hook (listen|sandbox|inspect|mcp)\b": "a server: test_docs.py checks its options, and other tests start it",
    r"python3 examples/\S+ 8000|flask --app|moto_server": "a server: tests/examples starts it",
    r"\b(pipx?|uv) (tool )?install|pip'? install|python3 -m venv|\.venv/bin|npm install": "make test-install installs",
    r"^(make|docker) ": "CI runs it, or needs Docker",
    r"trigger examples/workflows/": "tests/examples runs its backend",
    r"port-hook agent (message\.json|--check)|agent .*--(watch|send|env)": "needs a message: tests/cli",
    r"port-hook agent --(kafka|poll)": "needs a broker, or runs in Port: tests/process, tests/cli",
    r"tier_changed": "needs a backend of this automation: tests/cli",
    r"^port-hook verify --body": "test_docs.py runs it, with its output",
    r"\bpytest examples": "tests/examples runs it",
    r"^(git |repositories)": "tests/examples does the same",
    r"ngrok config": "needs an account of ngrok",
    r"port-hook login|--org production": "needs an account of Port: tests/cli/test_login.py",
    r"trigger .*--kafka": "needs a broker: tests/cli/test_trigger_kafka.py",
    r"--as lambda": "needs a runtime of Lambda: tests/cli",
    r"--edit\b": "needs a terminal: tests/cli/test_replay_edit.py",
    r"--via-port|deploy_service#deploy --outputs|^port-hook restore (create|deploy)": "needs runs in Port: tests/cli",
    r"decrypt last|private\.pem|public\.pem|value\.txt|payload\.json": "needs encrypted inputs or keys: tests/cli",
    r"deploy\.sh|PIPESTATUS|\"\$status\"|wfnr_": "an example of a user's script, or of a node run: tests/cli",
    r"request\.http|verify 3f9a|cpu=3|\b(3f2a|81c0)\b": "an example of a user's file, id or error",
    r"^(export PORT_CLIENT_(ID|SECRET)=|umask|set -a)": "sets a variable",
    r"^\. \./\.env(;.*|)$": "only reads the variables",
}


@dataclass(frozen=True)
class Line:
    """A command line of a page."""

    page: str
    code: str

    @property
    def reason(self) -> str:
        """Why it does not run; "" if it runs."""
        return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, self.code)), "")


def lines() -> Iterator[Line]:
    for page in PAGES:
        for language, block in re.findall(r"(?ms)^ *```(sh|bash|console)\n(.*?)^ *```", page.read_text("utf-8")):
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                code = line.strip()
                if language == "console":
                    if not code.startswith("$ "):
                        continue
                    code = code[2:]
                code = re.sub(r"\s+#\s.*$", "", code)
                if code and not code.startswith("#"):
                    yield Line(page.relative_to(ROOT).as_posix(), code)


RUN = sorted({line.code for line in lines() if not line.reason})


@dataclass(frozen=True)
class Machine:
    """The folder in which the commands run, and the free ports that stand for those on the pages."""

    folder: Path
    ports: dict[str, str]
    environ: dict[str, str]

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        for known, free in self.ports.items():
            code = re.sub(rf"\b{known}\b", free, code)
        return subprocess.run(
            ["bash", "-c", code], cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
        )


@contextmanager
def server(machine: Machine, *command: str) -> Iterator[str]:
    """Run a server until the end of the context; yield its first lines, up to the one with its address."""
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=machine.folder,
        env=machine.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        shown = ""
        while not re.search(r"http://127\.0\.0\.1:\d+", shown):
            line = process.stdout.readline()
            assert line, f"{command} ended: {shown}"
            shown += line
        try:
            yield shown
        finally:
            process.kill()


def port_in(text: str) -> str:
    found = re.search(r"127\.0\.0\.1:(\d+)", text)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    machine = Machine(folder, {}, environment(folder, PATH=path))
    with ExitStack() as stack:
        sandbox = stack.enter_context(server(machine, "-m", "port_hook_cli", "sandbox"))
        variables = dict(re.findall(r"export (\w+)=(.*)", sandbox))
        machine.environ.update(variables)
        (folder / ".env").write_text(sandbox)
        (folder / ".env").chmod(0o600)
        handler = stack.enter_context(server(machine, "examples/handler.py", "0"))
        machine.ports.update({"8790": port_in(sandbox), "8000": port_in(handler)})
        running = stack.enter_context(listener(folder, "--forward-to", machine.ports["8000"], env=variables))
        machine.ports["8787"] = str(running.port)
        done = machine.run("port-hook replay examples/payloads/create_vm.json --to 8787")
        assert done.returncode == 0, done
        yield machine


def test_most_command_lines_of_the_docs_run() -> None:
    assert len(RUN) > 20
    assert set(NOT_RUN.values()) == {line.reason for line in lines()} - {""}


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="bash or curl is not installed")
@pytest.mark.parametrize("code", RUN)
def test_command_line_of_the_docs_succeeds(code: str, machine: Machine) -> None:
    done = machine.run(code)
    # The handler may have ended the run already; Port then accepts no more reports.
    assert done.returncode in ({0, 9} if "report-run" in code else {0}), f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_write_credentials_make_the_file_private(page: Path) -> None:
    blocks = re.findall(r"(?ms)^```(?:sh|text)\n(.*?)^```", page.read_text("utf-8"))
    assert [block for block in blocks if "> .env" in block and "umask 077" not in block] == []
