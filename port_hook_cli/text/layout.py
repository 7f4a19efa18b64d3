"""Fit lines to a terminal: words stay whole, and a continuation line is indented below the value.

This module is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from port_hook_cli.text.styled import Styled, cell_width

INDENT = 13
"""The number of columns before a value: two spaces and a label."""

_NARROWEST = 24
_WORD = r"\S+"
# Two spaces separate the parts of a heading, such as `create_vm CREATE  valid  -> 202`.
_PART = r"\S+(?: \S+)*"
# A command in backticks also stays whole, so that users can copy it.
_WORD_OR_COMMAND = r"[^\s`]*`[^`]+`\S*|\S+"


def fit(lines: Iterable[Styled], width: int, *, indent: int = INDENT) -> Iterator[Styled]:
    """Yield `lines`, wrapped to `width` columns. Continuation lines begin below the value, at column `indent`.

    Words that are wider than a line are broken. Lines with `no_wrap` are not wrapped.
    """
    for line in lines:
        if line.no_wrap or cell_width(line.plain) <= width or width - indent < _NARROWEST:
            yield line
        else:
            yield from wrap(line, width, indent=indent, breaks_words=True)


def wrap(
    line: Styled, width: int, *, indent: int, label: int | None = None, breaks_words: bool = False
) -> Iterator[Styled]:
    """Yield a line in parts of at most `width` columns. All parts except the first are indented.

    Text between two double spaces stays together if it fits. A word that is too wide gets its own line, or is broken if
    `breaks_words` is set. The first `label` characters (which default to `indent`) stay together with the next word.
    """
    plain, margin = line.plain, " " * indent
    for number, (start, end) in enumerate(
        _parts(plain, width, indent, indent if label is None else label, breaks_words=breaks_words)
    ):
        yield Styled.assemble(margin, line.part(start, end)) if number else line.part(start, end)


def _parts(plain: str, width: int, indent: int, label: int, *, breaks_words: bool) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each part of a wrapped line."""
    start, end = 0, min(label, len(plain))  # the part so far, without the spaces after it
    used = cell_width(plain[:end])
    is_empty = True  # whether the part has only the label or the margin
    for word in _words(plain, end, width - max(indent, used), breaks_words=breaks_words):
        added = cell_width(plain[end : word[1]])
        if not is_empty and used + added > width:
            yield start, end
            start, used, added = word[0], indent, cell_width(plain[word[0] : word[1]])
        end, used, is_empty = word[1], used + added, False
    yield start, end


def _whole_words(plain: str, start: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each word after `start`.

    A part of a heading, or a command in backticks, counts as one word if it fits into `width`.
    """
    for part in re.compile(_PART).finditer(plain, start):
        if cell_width(part.group()) <= width:
            yield part.span()
            continue
        for found in re.compile(_WORD_OR_COMMAND).finditer(plain, *part.span()):
            if cell_width(found.group()) <= width:
                yield found.span()
            else:
                yield from (word.span() for word in re.compile(_WORD).finditer(plain, *found.span()))


def _words(plain: str, start: int, width: int, *, breaks_words: bool) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each word after `start`. Words wider than `width` are broken."""
    for begin, end in _whole_words(plain, start, width):
        if breaks_words and cell_width(plain[begin:end]) > width:
            yield from _broken(plain, begin, end, width)
        else:
            yield begin, end


def _broken(plain: str, begin: int, end: int, width: int) -> Iterator[tuple[int, int]]:
    used = 0
    for position in range(begin, end):
        cells = cell_width(plain[position])
        if used + cells > width:
            yield begin, position
            begin, used = position, 0
        used += cells
    yield begin, end


def labeled(label: str, text: Styled | str, style: str = "", *, indent: int = INDENT) -> Styled:
    """Return a line with a label and a value. `style` is for a string. `fit` continues the line below the value."""
    value = text if isinstance(text, Styled) else Styled(text, style)
    return Styled.assemble("  ", (label.ljust(indent - 2), "dim"), value, no_wrap=value.no_wrap)
