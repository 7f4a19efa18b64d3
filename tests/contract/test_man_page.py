"""The man page: it has every command and option, and no character of a help text is read as a command of roff."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from docs.command_line import roff
from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.cli.exit_codes import ExitCode
from tests.installed import path_of
from tests.options import command, summary

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "man" / "port-hook.1"
_OVERSTRUCK = re.compile(".\b")


def rendered(source: bytes) -> str:
    """Return roff as groff shows it, in one long line per paragraph; fails if groff warns."""
    command_line = [path_of("groff"), "-man", "-Tutf8", "-P-c", "-k", "-ww", "-rHY=0", "-rLL=2000n"]
    done = subprocess.run(command_line, input=source, capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    return _OVERSTRUCK.sub("", done.stdout.decode())


def test_man_page_has_every_command_and_option() -> None:
    text = rendered(PAGE.read_bytes())
    for name in COMMANDS:
        _, found, section = text.partition(f"port-hook {name}\n")
        assert found, f"the page lacks {name}: run `make docs`"
        for option in command(name).params:
            if option.param_type_name == "option":
                assert option.opts[0] in section, "run `make docs`"
    assert all(f"{code.value}" in text for code in ExitCode)
    assert " ".join(summary("listen").split()) in " ".join(text.split())


def test_man_page_is_read_by_mandoc_without_warnings() -> None:
    done = subprocess.run(
        [path_of("mandoc"), "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True, check=False, timeout=30
    )
    warnings = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert warnings == []


@pytest.mark.parametrize(
    "text",
    [".TH x", "'br", "\\fB \\n \\(aq", "-x --yes", "it's ^ ~ \" …", "a`b", ".", "é → ü", "%PATH% $(x) # {{ . }}"],
)
def test_text_in_the_man_page_is_shown_as_it_is(text: str) -> None:
    shown = rendered(f".TH X 1\n.SH NAME\nx \\- y\n.SH TEXT\n{roff(text)}\n".encode())
    assert text in shown


def test_word_in_backquotes_is_bold_in_the_man_page() -> None:
    assert roff("see `show --body` here") == "see \\fBshow \\-\\-body\\fR here"


def test_wheel_installs_the_man_page_where_man_looks_for_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    data = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert data == {"docs/man/port-hook.1": "share/man/man1/port-hook.1"}
