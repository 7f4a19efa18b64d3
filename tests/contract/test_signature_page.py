"""The page "My signature is invalid": each command on it shows the cause that its section is about."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from port_hook_cli.signatures.causes import CAUSES
from tests.installed import needs
from tests.processes import environment, listener

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "my-signature-is-invalid.md"
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
]


def blocks(text: str) -> list[str]:
    return re.findall(r"(?s)```sh\n(.*?)```", text)


INTRODUCTION, *SECTIONS = re.split(r"(?m)^## ", PAGE.read_text("utf-8"))
COMMANDS = {section.split("\n")[0]: command for section in SECTIONS for command in blocks(section)}


def in_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command after the functions of the page, with this Python's `port-hook`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", f"{blocks(INTRODUCTION)[0]}{command}"],
        cwd=folder,
        env=environment(folder, PATH=path),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_page_has_a_section_for_every_cause() -> None:
    found = [section.split("\n")[0] for section in SECTIONS]
    assert found == list(CAUSES), "describe the cause in docs/reproductions.toml, and run `make docs`"
    assert CAUSES.keys() - COMMANDS.keys() == {"undiagnosed"}


def test_section_quotes_only_what_is_said_of_its_own_cause() -> None:
    quoted = [line for section in SECTIONS for line in section.splitlines() if line.startswith("- ")]
    assert sorted(set(quoted)) == sorted(quoted)
    (skew,) = (section for section in SECTIONS if section.startswith("clock-skew\n"))
    assert "the tolerance is 300 s" in skew


def test_request_without_a_fault_is_valid(tmp_path: Path) -> None:
    done = in_shell(blocks(INTRODUCTION)[1], tmp_path)
    assert done.stdout.startswith("valid: "), done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("slug", sorted(COMMANDS.keys() - {"replayed"}))
def test_command_of_a_cause_shows_that_cause(slug: str, tmp_path: Path) -> None:
    done = in_shell(COMMANDS[slug], tmp_path)
    shown = [name for name in re.findall(r"(?m)^([a-z0-9-]+): ", done.stdout) if name in CAUSES]
    # A document that changed has the cause of its form too.
    assert (shown[-1:] if slug == "meaning-changed" else shown[:1]) == [slug], done.stdout + done.stderr
    assert done.returncode == (0 if slug == "header-doubled" else 3)


@needs("curl")
def test_request_that_is_sent_twice_is_shown_as_a_replay(tmp_path: Path) -> None:
    with listener(tmp_path, env={"PORT_CLIENT_SECRET": "an-example-and-no-secret"}) as running:
        done = in_shell(COMMANDS["replayed"].replace("8787", str(running.port)), tmp_path)
        causes = [running.record()["verdict"]["causes"] for _ in range(2)]
    assert (done.returncode, causes) == (0, [[], ["replayed"]]), done.stderr
