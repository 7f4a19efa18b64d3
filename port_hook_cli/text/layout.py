"""Fitting labeled lines to a terminal: words stay whole, and what goes on stands below its value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

INDENT = 13
"""The columns before a value: two spaces and a label."""

_NARROWEST = 24


def fit(lines: Iterable[Text], console: Console) -> Iterator[Text]:
    """Yield `lines` wrapped at words to the console's width; a line with `no_wrap` is left whole, to be copied."""
    for line in lines:
        width = console.width - INDENT
        if line.no_wrap or line.cell_len <= console.width or width < _NARROWEST:
            yield line
        else:
            yield from _hang(line, width, console)


def _hang(line: Text, width: int, console: Console) -> Iterator[Text]:
    label, margin = line[:INDENT], " " * INDENT
    # A headline has no label: what stands in its place may have wide characters.
    wrapped = line[INDENT:].wrap(console, width - max(0, label.cell_len - INDENT))
    for index, part in enumerate(wrapped):
        part.rstrip()
        yield Text.assemble(margin if index else label, part)
