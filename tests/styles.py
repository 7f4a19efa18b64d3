"""The text of styled lines."""

from __future__ import annotations

from port_hook_cli.text.styled import COLORS, JSON, STYLES, Styled

_KNOWN = {*STYLES, *COLORS, JSON}


def plain(line: Styled) -> str:
    """Return the text of a line, after checking that a terminal can show each of its styles."""
    unknown = {word for span in line.spans for word in span.style.split()} - _KNOWN
    assert not unknown, f"unknown styles {unknown}: {line.plain}"
    return line.plain
