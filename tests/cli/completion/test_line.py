"""The meaning of the next word of a command line, and the requests of shells."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.cli.completion.line import IncompleteLine, read_line
from port_hook_cli.cli.completion.shells import SHELLS


def place(line: str) -> tuple[str, str, str]:
    *words, start = line.split(" ")
    found = read_line(words, start)
    return found.command, found.place, found.start


def test_word_belongs_to_the_option_or_argument_before_the_cursor() -> None:
    for line, expected in (
        ("", ("", "COMMAND", "")),
        ("sh", ("", "COMMAND", "sh")),
        ("--pro", ("", "-", "--pro")),
        ("--profile ", ("", "--profile", "")),
        ("--profile dev sh", ("", "COMMAND", "sh")),
        ("--profile=dev show ", ("show", "capture", "")),
        ("help sh", ("", "COMMAND", "sh")),
        ("help show ", ("", "", "")),
        ("unknown ", ("", "", "")),
        ("show ", ("show", "capture", "")),
        ("show --store x ", ("show", "capture", "")),
        ("show --store=x ", ("show", "capture", "")),
        ("show --store ", ("show", "--store", "")),
        ("show --store=ab", ("show", "--store", "ab")),
        ("show --unknown ", ("show", "capture", "")),
        ("show last ", ("show", "", "")),
        ("show --bo", ("show", "-", "--bo")),
        ("replay last pay", ("replay", "sources", "pay")),
        ("diff last ", ("diff", "b", "")),
        ("diff - ", ("diff", "b", "")),
        ("report-run last -- --x", ("report-run", "command_to_run", "--x")),
        ("check -- --x", ("check", "command_to_run", "--x")),
        ("check --only ", ("check", "--only", "")),
        ("listen --route create_vm=", ("listen", "--route", "create_vm=")),
    ):
        assert place(line) == expected


def test_options_before_the_cursor_are_known_with_their_values() -> None:
    assert read_line(["show", "--store", "a.db", "--body"], "").given == {"--store": "a.db", "--body": ""}


def test_bash_words_split_at_equals_signs_and_colons_are_joined() -> None:
    words = ["port-hook", "listen", "--route", "a", "=", "http", ":", "//localhost", "--store", "=", "x"]
    environ = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": "10"}
    asked = SHELLS["bash"].read(environ)
    assert asked.words == ("listen", "--route", "a=http://localhost")
    assert (asked.start, asked.kept) == ("--store=x", "--store=")


@given(st.lists(st.text(max_size=8), max_size=6), st.sampled_from(sorted(SHELLS)))
def test_any_line_of_a_shell_is_read(words: list[str], shell: str) -> None:
    line = shlex.join(words)
    environ = {"COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_TYPER_COMPLETE_ARGS": line}
    asked = SHELLS[shell].read(environ)
    assert isinstance(read_line(asked.words, asked.start), IncompleteLine)


@given(st.text(max_size=20))
def test_line_with_open_quotes_and_escapes_is_read(line: str) -> None:
    asked = SHELLS["zsh"].read({"_TYPER_COMPLETE_ARGS": f"port-hook show {line}"})
    assert isinstance(asked.start, str)
