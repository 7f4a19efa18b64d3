"""Every command line in the documentation runs, or a reason says why it does not run here.

They run in one folder, beside a sandbox, a handler and a listener on free ports: plain `port-hook …` in this process,
all others in bash. The tutorials and the catalog of causes have tests of their own.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO

import pytest

from tests import prepared
from tests.conftest import Run
from tests.documentation import ROOT, TYPED
from tests.installed import needs
from tests.prepared_shell import path_with_port_hook
from tests.processes import environment

OWN_TESTS = {
    ROOT / "docs" / "start" / "without-port.md",
    ROOT / "docs" / "start" / "without-port-report.md",
    ROOT / "docs" / "start" / "without-port-test.md",
    ROOT / "docs" / "start" / "execution-agent.md",
    ROOT / "docs" / "reference" / "signatures.md",
}
PAGES = [
    page
    for page in (
        ROOT / "README.md",
        ROOT / "docs" / "llms.txt",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
    )
    if page not in OWN_TESTS and "node_modules" not in page.parts and "{{" not in str(page)
]
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
]

# A line that matches does not run. The first match counts.
NOT_RUN = {
    r"port-hook captures --watch": "it runs until Ctrl-C: tests/cli/test_captures.py has a test",
    r"port-hook (listen|sandbox|inspect|mcp)\b": "a server: tests/contract/test_docs.py checks its options",
    r"python3 examples/\S+ 8000|flask --app|moto_server": "a server: tests/process/test_readme_commands.py starts it",
    r"\b(pipx?|uv) (tool )?install|pip'? install|python3 -m venv|\.venv/bin|npm ci": ".ci/test-install installs",
    r"^(make|docker) ": "CI runs it, or needs Docker",
    r"trigger examples/workflows/": "needs its handler: tests/cli/test_trigger_workflow.py",
    r"agent .*--poll": "runs in Port: tests/cli/test_agent_poll.py",
    r"agent .*--kafka": "needs a broker: tests/process/test_agent_streams.py",
    r"port-hook port-agent (message\.json|--check)|agent .*--(send|env)": "needs a message: tests/cli/test_agent.py",
    r"tier_changed": "needs a handler of this automation: tests/cli/test_trigger.py",
    r"^port-hook verify (--body|last --signature)": "tests/contract/test_docs.py runs it, with its output",
    r"(show|verify) shared\.json": "needs the capture of the command before it: tests/cli/test_export_redacted.py",
    r"\bpytest examples": "tests/process/test_example_suites.py runs it",
    r"^(git |repositories)": "tests/process/test_readme_commands.py types it, after the commands before it",
    r"ngrok config": "needs an account of ngrok",
    r"port-hook (login|logout)|--org production": "needs an account of Port: tests/cli/test_login.py",
    r"trigger .*kafka://": "needs a broker: tests/cli/test_trigger_kafka.py",
    r"lambda://": "needs a runtime of Lambda: tests/cli/test_replay_lambda.py",
    r"--edit\b": "needs a terminal: tests/cli/test_replay.py",
    r"port-hook check .* -- ": "starts a handler on a port of the page: tests/cli/test_check.py",
    r"--via-port": "needs runs in Port: tests/cli/test_trigger_workflow_in_port.py",
    r"deploy_service#deploy --with": "needs runs in Port: tests/cli/test_trigger_last_outputs.py",
    r"deploy_service --from": "needs runs in Port: tests/cli/test_trigger_from_node.py",
    r"^port-hook restore (create|deploy)": "needs changed actions: tests/cli/test_restore.py",
    r"decrypt last|private\.pem|public\.pem|value\.txt|payload\.json": "needs keys: tests/cli/test_decrypt.py",
    r"deploy\.sh|PIPESTATUS|\"\$status\"": "an example of a user's script: tests/cli/test_report_command.py",
    r"wfnr_": "an example of a node run: tests/cli/test_report_run.py",
    r"request\.http|verify 3f9a|cpu=3|\b(3f2a|81c0|4342a98c315b)\b": "an example of a user's file, id or error",
    r"^(export PORT_CLIENT_(ID|SECRET)=|set -a)": "sets a variable",
    r"^\. \./\.env(;.*|)$": "only reads the variables",
}
IN_TYPED_BLOCKS = {
    re.sub(r"\s+#\s.*$", "", line) for blocks in TYPED.values() for block in blocks for line in block.splitlines()
}
TYPED_ELSEWHERE = "tests/process/test_readme_commands.py types it"

# Faster than on the page, where 200 requests take 4 s.
RATE = {"50/s": "1000/s"}


@dataclass(frozen=True)
class Line:
    """A command line of a page."""

    page: str
    code: str

    @property
    def reason(self) -> str:
        """Why it does not run; "" if it runs."""
        if self.code in IN_TYPED_BLOCKS:
            return TYPED_ELSEWHERE
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


def is_plain(code: str) -> bool:
    """Return whether a line only runs `port-hook`, without other programs, expansions or redirections."""
    unquoted = re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", code)
    return code.startswith("port-hook ") and not re.search(r"[^\w\s./:,=@#%+-]", unquoted)


RUN = sorted({line.code for line in lines() if not line.reason})


@dataclass(frozen=True)
class Machine:
    """The folder in which the commands run, and what stands for the ports and the rate on the pages."""

    folder: Path
    replaced: dict[str, str]
    environ: dict[str, str]

    def line(self, code: str) -> str:
        """Return a command line with the ports of this machine."""
        for known, other in self.replaced.items():
            code = re.sub(rf"\b{known}\b", other, code)
        return code


@contextmanager
def server(machine: Machine, *command: str, later: SimpleQueue[str] | None = None) -> Iterator[str]:
    """Run a server until the end of the context; yield its first lines, up to the one with its address.

    `later` gets the lines after these.
    """
    with prepared.Popen(
        [sys.executable, *command],
        cwd=machine.folder,
        env=machine.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        shown = ""
        while not re.search(r"http://127\.0\.0\.1:\d+", shown):
            line = process.stdout.readline()
            assert line, f"{command} ended: {shown}"
            shown += line
        rest = threading.Thread(target=read_all, args=(process.stdout, later or SimpleQueue()))
        rest.start()
        try:
            yield shown
        finally:
            process.kill()
            rest.join()


def read_all(output: IO[str], lines: SimpleQueue[str]) -> None:
    """Read until the end, because a full pipe would block the server."""
    for line in output:
        lines.put(line)


def port_in(text: str) -> str:
    found = re.search(r"127\.0\.0\.1:(\d+)", text)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    with ExitStack() as stack:
        path = stack.enter_context(path_with_port_hook(folder / "bin"))
        machine = Machine(folder, dict(RATE), environment(folder, PATH=path, PORT_HOOK_CHECK_WITHIN="170"))
        sandbox = stack.enter_context(server(machine, "-m", "port_hook_cli", "sandbox"))
        machine.environ.update(dict(re.findall(r"export (\w+)=(.*)", sandbox)))
        (folder / ".env").write_text(sandbox)
        (folder / ".env").chmod(0o600)
        handler = port_in(stack.enter_context(server(machine, "examples/handler.py", "0")))
        listen = ("-m", "port_hook_cli", "listen", "--json", "--port", "0", "--forward-to", handler)
        listener = port_in(stack.enter_context(server(machine, *listen, later=(records := SimpleQueue[str]()))))
        machine.replaced.update({"8790": port_in(sandbox), "8000": handler, "8787": listener})
        replay = ("-m", "port_hook_cli", "replay", "examples/payloads/create_vm.json", "--to", listener)
        prepared.run([sys.executable, *replay], cwd=folder, env=machine.environ, stdout=subprocess.PIPE, check=True)
        assert "create_vm" in records.get(timeout=30)  # the handler's response is in the store now
        yield machine


@pytest.fixture
def folder(machine: Machine) -> Path:
    """The folder in which `run` runs port-hook."""
    return machine.folder


@pytest.fixture
def home(machine: Machine) -> Path:
    """The home folder of `run`: the listener's, because the commands read its captures."""
    return machine.folder


def test_most_command_lines_of_the_docs_run() -> None:
    assert len(RUN) > 20
    used = {next((pattern for pattern in NOT_RUN if re.search(pattern, line.code)), "") for line in lines()}
    assert NOT_RUN.keys() - used == set()


def test_most_command_lines_of_the_docs_run_in_this_process() -> None:
    assert sum(map(is_plain, RUN)) > len(RUN) * 0.8
    for syntax in ("| sh", "> file", "< file", '"$(date)"', "$HOME", "`date`", "&& true", "; true", "*.json", "\\ "):
        assert not is_plain(f"port-hook show last {syntax}"), syntax
    assert not is_plain(". ./.env")


def test_reasons_not_to_run_a_command_line_name_existing_tests() -> None:
    named = [path for reason in (*NOT_RUN.values(), TYPED_ELSEWHERE) for path in re.findall(r"\btests/\S*\w", reason)]
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("code", [code for code in RUN if is_plain(code)])
def test_command_line_of_the_docs_succeeds(code: str, machine: Machine, run: Run) -> None:
    _, *words = shlex.split(machine.line(code))
    done = run(*words, env=machine.environ)
    # The handler may have ended the run already; Port then accepts no more reports.
    assert done.code in ({0, 9} if "report-run" in code else {0}), f"{done.out}{done.err}"


@needs("bash")
@needs("curl")
@pytest.mark.parametrize("code", [code for code in RUN if not is_plain(code)])
def test_command_line_of_the_docs_succeeds_in_bash(code: str, machine: Machine) -> None:
    shell = ["bash", "-c", machine.line(code)]
    done = subprocess.run(
        shell,
        cwd=machine.folder,
        env=machine.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_command_lines_can_be_pasted_into_zsh() -> None:
    # zsh, the default shell on macOS, does not read comments that are typed or pasted.
    for page in PAGES:
        code = "".join(re.findall(r"(?ms)^```(?:sh|console)\n(.*?)^```", page.read_text("utf-8")))
        assert re.findall(r"(?m)^.*(?:^|\s)#\s.*$", code) == [], page
