"""The output of commands on a terminal of 60, 80 and 120 columns, read with pyte."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pyte
import pytest

from port_hook_cli.cli.commands import COMMANDS
from port_hook_cli.invocations.models import Invocation
from tests.conftest import Run
from tests.factories import a_body, a_capture, an_invocation, signed
from tests.hostile.terminals import HOSTILE, Shown, on_terminal
from tests.stores import keep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")

WIDTHS = pytest.mark.parametrize("width", [60, 80, 120])
STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLOR = re.compile(r"\x1b\[(?:[0-9;]*;)?3[0-9]m")
# A key or a string of JSON in the color that only JSON has.
JSON_COLOR = re.compile(r"\x1b\[(?:36|32)m\"[a-z]+\"\x1b\[0m")


def screen_of(shown: Shown, width: int) -> pyte.Screen:
    screen = pyte.Screen(width, 200)
    pyte.ByteStream(screen).feed(shown.raw)
    return screen


def lines_of(shown: Shown, width: int) -> list[str]:
    return [line.rstrip() for line in screen_of(shown, width).display if line.strip()]


def color_at(screen: pyte.Screen, text: str) -> str:
    row, line = next((row, line) for row, line in enumerate(screen.display) if text in line)
    return str(screen.buffer[row][line.index(text)].fg)


def capture(folder: Path, invocation: Invocation | None = None) -> None:
    keep(folder, a_capture(invocation))


@WIDTHS
def test_verify_wraps_a_cause_only_between_words(folder: Path, width: int) -> None:
    body = a_body()
    capture(folder, invocation=an_invocation(body, headers=signed(b"another body")))
    env = {"COLUMNS": str(width), "PORT_CLIENT_SECRET": "a-test-secret"}
    narrow = on_terminal(folder, "verify", "last", env=env)
    whole = on_terminal(folder, "verify", "last", env={**env, "COLUMNS": "2000"})
    assert [line for line in narrow.text.splitlines() if len(line) > width] == []
    assert narrow.text.split() == whole.text.split()


@WIDTHS
def test_error_is_wrapped_only_between_words_and_keeps_commands_whole(folder: Path, width: int) -> None:
    shown = on_terminal(folder, "captures", env={"COLUMNS": str(width)})
    assert shown.code == 8
    screen = screen_of(shown, width)
    text = "\n".join(lines_of(shown, width))
    assert f"{folder}/.port-hook/captures.db." in text.replace("\n", "")
    for part in ("`port-hook listen`", "--store."):
        assert part in text
    assert color_at(screen, "error:") == "red"
    assert color_at(screen, "hint:") == "cyan"
    assert color_at(screen, "Capture store") == "default"


@WIDTHS
def test_help_keeps_every_token_whole(folder: Path, width: int) -> None:
    for command in COMMANDS:
        shown = on_terminal(folder, command, "--help", env={"COLUMNS": str(width)})
        assert shown.code == 0
        assert max(map(len, shown.text.splitlines())) <= width, command
        tokens = shown.text.split()
        assert [token for token in tokens if token.endswith("-") and token[-2:] not in {"-", "|-", "--"}] == []
    assert ".port-hook/captures.db" in on_terminal(folder, "help", "options", env={"COLUMNS": str(width)}).text


def test_help_has_color_on_a_terminal(folder: Path) -> None:
    screen = screen_of(on_terminal(folder, "show", "--help", env={"COLUMNS": "80"}), 80)
    assert color_at(screen, "--body  Write") == "cyan"
    assert color_at(screen, "Write the raw") == "default"


def test_help_and_errors_have_no_color_when_no_color_is_set(folder: Path) -> None:
    for words in (["show", "--help"], ["show", "last"]):
        shown = on_terminal(folder, *words, env={"NO_COLOR": "1", "FORCE_COLOR": "1"})
        assert not COLOR.search(shown.raw.decode())


def test_help_and_errors_have_no_escape_sequences_on_a_dumb_terminal(folder: Path) -> None:
    for words in (["show", "--help"], ["show", "last"], []):
        shown = on_terminal(folder, *words, env={"TERM": "dumb"})
        assert b"\x1b" not in shown.raw


def test_help_and_errors_have_color_in_a_pipe_when_force_color_is_set(run: Run) -> None:
    assert COLOR.search(run("show", "--help", env={"FORCE_COLOR": "1"}).out)
    assert COLOR.search(run("show", "last", env={"FORCE_COLOR": "1"}).err)
    assert not STYLE.search(run("show", "--help").out)
    assert not STYLE.search(run("show", "last").err)


def json_commands(folder: Path) -> list[tuple[str, ...]]:
    """Return commands that show JSON, some of it from a hostile sender."""
    document = {"name": "a", "list": [1, True, None], "text": HOSTILE}
    one, other = an_invocation(a_body(document)), an_invocation(a_body({**document, "more": {"x": "y"}}), id="other")
    keep(folder, a_capture(other), a_capture(one))
    (folder / "template.json").write_text('{"a": "{{ .b }}", "n": [1, null]}')
    (folder / "data.json").write_text('{"b": "text"}')
    return [
        ("show", "last"),
        ("show", "last", "--body"),
        ("diff", "last", "other"),
        ("render", "template.json", "--data", "data.json"),
        ("replay", "last", "--to", "9", "--dry-run", "--as-captured"),
    ]


def test_json_has_color_on_a_terminal_and_its_text_stays_the_same(folder: Path) -> None:
    for words in json_commands(folder):
        colored = on_terminal(folder, *words)
        plain = on_terminal(folder, *words, env={"NO_COLOR": "1", "FORCE_COLOR": "1"})
        dumb = on_terminal(folder, *words, env={"TERM": "dumb"})
        assert JSON_COLOR.search(colored.raw.decode()), words
        assert not COLOR.search(plain.raw.decode()), words
        assert b"\x1b" not in dumb.raw, words
        assert colored.text == plain.text == dumb.text, words
        assert colored.unseen == [], words


def test_json_has_color_in_a_pipe_only_when_force_color_is_set(folder: Path, run: Run) -> None:
    for words in json_commands(folder):
        piped, forced = run(*words), run(*words, env={"FORCE_COLOR": "1"})
        is_exact = words[-1] in {"--body", "--as-captured"}  # the bytes of a request are never changed
        assert not STYLE.search(piped.out), words
        assert bool(JSON_COLOR.search(forced.out)) is not is_exact, words
        assert STYLE.sub("", forced.out) == piped.out, words
        assert not STYLE.search(run(*words, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out), words


def test_records_and_exports_never_have_color(folder: Path, run: Run) -> None:
    json_commands(folder)
    for line in ("show last --json", "export last --format har"):
        assert not STYLE.search(run(*line.split(), env={"FORCE_COLOR": "1"}).out)
        assert not STYLE.search(on_terminal(folder, *line.split()).raw.decode())
