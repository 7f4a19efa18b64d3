"""Every example of the help runs, in the folder and beside the servers of the documentation's command lines.

An example that is a line of a page runs in tests/contract/test_doc_commands.py.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.help_page import EXAMPLES, root_examples
from tests import prepared
from tests.conftest import Run
from tests.contract.test_doc_commands import RUN as ON_PAGES
from tests.contract.test_doc_commands import Machine, folder, home, machine, port_in  # noqa: F401 - fixtures
from tests.documentation import ROOT
from tests.factories import a_capture
from tests.sockets import free_port
from tests.stores import keep

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
]

LINES = sorted({*(line for line, _ in root_examples()), *(line for lines in EXAMPLES.values() for line in lines)})
SERVERS = re.compile(r"port-hook (listen|sandbox|inspect)\b")
ELSEWHERE = {
    r"port-hook log(in|out)\b": "asks for an organization: tests/cli/test_login.py",
    r"--via-port": "needs runs in Port: tests/cli/test_trigger_workflow_in_port.py",
    r"--kafka": "needs a broker: tests/process/test_agent_streams.py",
    r"--retarget": "needs an action in Port: tests/cli/test_retarget.py",
    r"--watch": "runs until Ctrl-C: tests/cli/test_captures.py",
    r"check .*-- python app\.py": "starts a handler: tests/cli/test_check.py",
    r"decrypt|encrypt": "needs keys: tests/cli/test_decrypt.py",
    r"port-agent message\.json": "needs a message: tests/cli/test_agent.py",
    r"restore create_vm": "needs a changed action: tests/cli/test_restore.py",
}
CODES = {"diff": {0, 1}, "report-run": {0, 1, 9}, "verify": {0, 3}, "doctor": {0, 1}, "init": {0, 8}}
"""The exit codes of commands whose result depends on the captures and on runs that the handler may have ended."""

RUN = [line for line in LINES if line not in ON_PAGES and not any(re.search(pattern, line) for pattern in ELSEWHERE)]


@pytest.fixture(scope="module")
def prepared_machine(machine: Machine) -> Machine:  # noqa: F811 - the fixture
    """The machine, with the files that the examples name."""
    here, examples = machine.folder, ROOT / "examples"
    shutil.copy(examples / "payloads" / "create_vm.json", here / "payload.json")
    shutil.copy(examples / "payloads" / "create_vm.json", here / "b.json")
    shutil.copy(examples / "actions" / "create_vm.json", here / "create_vm.json")
    shutil.copy(examples / "workflows" / "deploy_service.json", here / "workflow.json")
    (here / "workflows").symlink_to(examples / "workflows")
    (here / "build.log").write_text("built\n")
    (here / "run.json").write_text(json.dumps({"inputs": {"cpu": 2}}))
    (here / "body.json").write_text(json.dumps({"cpu": "{{ .inputs.cpu }}"}))
    (here / "mapping.json").write_text("[{}]")
    (here / "deploy.sh").write_text("#!/bin/sh\necho deployed\n")
    (here / "deploy.sh").chmod(0o755)
    send = [
        sys.executable,
        "-m",
        "port_hook_cli",
        "replay",
        "payload.json",
        "--to",
        machine.replaced["8787"],
        "--times",
        "4",
    ]
    prepared.run(send, cwd=here, env=machine.environ, stdout=subprocess.PIPE, check=True)
    return machine


def test_every_command_has_examples() -> None:
    assert EXAMPLES.keys() == set(COMMANDS)


def test_reasons_not_to_run_an_example_name_existing_tests() -> None:
    for pattern, reason in ELSEWHERE.items():
        assert any(re.search(pattern, line) for line in LINES), pattern
        assert (ROOT / reason.rpartition(": ")[2]).is_file()


@pytest.mark.parametrize("line", [line for line in RUN if not SERVERS.match(line)])
def test_example_of_the_help_succeeds(line: str, prepared_machine: Machine, run: Run) -> None:
    command, _, file = prepared_machine.line(line).partition(" < ")
    _, name, *words = shlex.split(command)
    stdin = (prepared_machine.folder / file).read_bytes() if file else b""
    done = run(name, *words, stdin=stdin, env=prepared_machine.environ)
    (prepared_machine.folder / "port-hook.toml").unlink(missing_ok=True)  # other examples would use its handler
    assert done.code in CODES.get(name, {0}), f"{done.out}{done.err}"


@pytest.mark.parametrize("line", [line for line in RUN if SERVERS.match(line)])
def test_example_of_a_server_starts(line: str, prepared_machine: Machine, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "app.py").write_text(f"from http.server import test\ntest(port={port}, bind='127.0.0.1')\n")
    line = prepared_machine.line(re.sub(r"8000(?= --)", str(port), line))
    _, command, *words = shlex.split(re.sub(r"--port \d+", "", line))
    keep(tmp_path, a_capture())  # for `inspect`
    (tmp_path / "workflows").symlink_to(ROOT / "examples" / "workflows")
    with prepared.Popen(
        [sys.executable, "-m", "port_hook_cli", command, "--port", "0", *words],
        cwd=tmp_path,
        env=prepared_machine.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        shown = ""
        while not re.search(r"http://127\.0\.0\.1:\d+", shown):
            text = process.stdout.readline()
            assert text, shown
            shown += text
        process.terminate()  # which ends the handler
    assert port_in(shown)
