"""Long output goes through the pager, on a terminal and nowhere else."""

from __future__ import annotations

import json
import os
import re
import select
import struct
import sys
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from tests.conftest import Run
from tests.factories import a_capture, an_invocation
from tests.hostile.terminals import HOSTILE, Shown, on_terminal

fcntl = pytest.importorskip("fcntl", reason="pseudo terminals are POSIX")
termios = pytest.importorskip("termios")

PAGER = """#!{python}
import os, sys
sys.stdout.write("PAGED " + os.environ["LESS"] + "\\n" + sys.stdin.read())
"""


@pytest.fixture
def pager(tmp_path: Path) -> str:
    path = tmp_path / "pager"
    path.write_text(PAGER.format(python=sys.executable))
    path.chmod(0o700)
    return str(path)


@pytest.fixture(autouse=True)
def _captures(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(an_invocation(id=f"{number:012x}")) for number in range(30)])


def on_screen(folder: Path, pager: str | None, *args: str, rows: int = 24, **env: str) -> Shown:
    def size(descriptor: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))

    environ = {"PATH": os.environ["PATH"], **({} if pager is None else {"PAGER": pager}), **env}
    return on_terminal(folder, *args, env=environ, prepare=size)


def ids(shown: Shown) -> list[str]:
    return re.findall(r"^\d\d:\d\d:\d\d  (0000\w+)", shown.text, re.MULTILINE)


def test_long_output_goes_through_the_pager_with_the_default_of_less_unless_set(folder: Path, pager: str) -> None:
    shown = on_screen(folder, pager, "captures", "--limit", "0")
    assert (shown.code, shown.text.splitlines()[0]) == (0, "PAGED FRX")
    assert len(ids(shown)) == 30
    assert on_screen(folder, pager, "show", "last", rows=5).text.startswith("PAGED")
    assert on_screen(folder, pager, "captures", rows=5, LESS="S").text.startswith("PAGED S\n")


def test_pager_gets_hostile_text_as_escapes(folder: Path, pager: str) -> None:
    body = json.dumps({"x": HOSTILE}, ensure_ascii=False).encode()
    with open_store(None, folder) as store:
        store.add([a_capture(an_invocation(body, id="ff0000000001"))])
    shown = on_screen(folder, pager, "show", "last", rows=5)
    assert shown.text.startswith("PAGED")
    assert "\\u202e" in shown.text
    assert shown.unseen == []


@pytest.mark.parametrize(
    ("args", "rows", "env"),
    [
        (("captures",), 24, {}),
        (("captures",), 5, {"TERM": "dumb"}),
        (("captures", "--json"), 5, {}),
        (("captures",), 5, {"CURSOR_AGENT": "1"}),
    ],
    ids=["fits", "dumb", "json", "coding agent"],
)
def test_pager_is_not_used(folder: Path, pager: str, args: tuple[str, ...], rows: int, env: dict[str, str]) -> None:
    shown = on_screen(folder, pager, *args, rows=rows, **env)
    assert shown.code == 0
    assert "PAGED" not in shown.text


def test_pasted_commands_do_not_reach_the_pager(folder: Path, pager: str) -> None:
    keyboard, typed = os.openpty()

    def size(descriptor: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 100, 0, 0))

    with open(typed, "rb", buffering=0) as stdin:  # noqa: PTH123 - a descriptor
        environ = {"PATH": os.environ["PATH"], "PAGER": pager}
        assert on_terminal(folder, "show", "last", env=environ, prepare=size, stdin=stdin).text.startswith("PAGED")
        os.write(keyboard, b"port-hook replay last\n")
        assert select.select([stdin], [], [], 30)[0]
        shown = on_terminal(folder, "show", "last", env=environ, prepare=size, stdin=stdin)
        assert stdin.readline() == b"port-hook replay last\n"
    os.close(keyboard)
    assert "PAGED" not in shown.text


@pytest.mark.parametrize("named", ["", "cat"])
def test_empty_pager_and_cat_disable_the_pager(folder: Path, named: str) -> None:
    assert len(ids(on_screen(folder, named, "captures", rows=5))) == 20


@pytest.mark.parametrize("named", ["/none/pager", "'"])
def test_output_is_printed_with_a_note_when_the_pager_cannot_be_started(folder: Path, named: str) -> None:
    shown = on_screen(folder, named, "captures", rows=5)
    assert shown.code == 0
    assert "note:" in shown.text
    assert len(ids(shown)) == 20


def test_pager_ending_early_is_not_an_error(folder: Path) -> None:
    shown = on_screen(folder, f"{sys.executable} -c pass", "captures", "--limit", "0")
    assert (shown.code, ids(shown)) == (0, [])


def test_ctrl_c_is_left_to_the_pager(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "interrupting"
    program = "import os, signal, sys\nos.kill(os.getppid(), signal.SIGINT)\nprint('PAGED', len(sys.stdin.read()))\n"
    path.write_text(f"#!{sys.executable}\n{program}")
    path.chmod(0o700)
    shown = on_screen(folder, str(path), "captures", "--limit", "0")
    assert (shown.code, shown.text.split()[0]) == (0, "PAGED")


def test_pipe_gets_everything_without_a_pager(run: Run, pager: str) -> None:
    result = run("captures", "--limit", "0", env={"PAGER": pager})
    assert "PAGED" not in result.out
    assert len(result.out.splitlines()) == 31
