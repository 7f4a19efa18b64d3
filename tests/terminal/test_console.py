from __future__ import annotations

import io

import pytest

from port_hook_cli.terminal.console import Output, message_lines
from port_hook_cli.text.styled import Styled


@pytest.mark.parametrize(
    "line",
    [
        Styled("error: EVIL"),
        Styled.assemble("err", "or: EVIL"),
        Styled.assemble("", ("error: EVIL", "red")),
        Styled.assemble(("", "bold"), ("", "red"), "hint: EVIL"),
        Styled.assemble("", "warning", ": EVIL"),
    ],
)
def test_line_that_begins_like_a_message_is_indented(line: Styled) -> None:
    assert Output(io.StringIO(), {}).paint([line]) == f"  {line.plain}\n"


def test_message_of_port_hook_is_not_indented() -> None:
    assert Output(io.StringIO(), {}).paint(message_lines("error: it failed")) == "error: it failed\n"


def test_empty_lines_stay() -> None:
    assert Output(io.StringIO(), {}).paint([Styled(), Styled.assemble("", "")]) == "\n\n"
