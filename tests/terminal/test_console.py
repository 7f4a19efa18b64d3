from __future__ import annotations

import io
from typing import Any

from port_hook_cli.terminal.console import Output, message_lines, write_content
from port_hook_cli.text.styled import Styled
from tests.terminal_streams import Screen


def test_line_beginning_like_a_message_is_indented() -> None:
    rows: list[Any] = [
        Styled("error: EVIL"),
        Styled.assemble("err", "or: EVIL"),
        Styled.assemble("", ("error: EVIL", "red")),
        Styled.assemble(("", "bold"), ("", "red"), "hint: EVIL"),
        Styled.assemble("", "warning", ": EVIL"),
    ]
    for line in rows:
        assert Output(io.StringIO(), {}).paint([line]) == f"  {line.plain}\n"


def test_message_of_port_hook_is_not_indented_and_empty_lines_are_printed() -> None:
    assert Output(io.StringIO(), {}).paint(message_lines("error: it failed")) == "error: it failed\n"

    assert Output(io.StringIO(), {}).paint([Styled(), Styled.assemble("", "")]) == "\n\n"


def test_message_has_at_most_100_lines_of_2000_characters() -> None:
    shown = Output(io.StringIO(), {}).paint(message_lines("error: " + "x" * 3_000_000 + "\ny" * 200_000)).splitlines()
    assert (len(shown), max(map(len, shown))) == (101, 2_000)
    assert shown[-1] == "  199901 more lines are not shown"


def test_content_is_shown_unchanged_even_if_a_line_begins_like_a_message() -> None:
    for environ in ({}, {"NO_COLOR": "1"}):
        terminal = Screen()
        write_content(b"error: of a handler\nhint: too\n", terminal, environ=environ)
        assert terminal.getvalue() == "error: of a handler\nhint: too\n"


def test_long_word_in_a_message_is_not_broken_or_continued_as_another_message() -> None:
    output = Output(Screen(), {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"})
    for pad in range(60, 100):
        text = output.paint(output.wrap(message_lines(f"error: of a handler: {'x' * pad}error: EVIL")))
        assert all(len(line) <= 80 and not line.startswith("error: EVIL") for line in text.splitlines())
    output = Output(Screen(), {"COLUMNS": "80", "TERM": "dumb"})
    url = f"https://example.com/{'x' * 100}"
    assert url in output.paint(output.wrap(message_lines(f"error: it failed: {url}")))
