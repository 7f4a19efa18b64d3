"""Styled text, which is the result of views, and the escape sequences for a terminal. This module is pure.

A style is one or more words from `STYLES` and `COLORS`, such as `bold red`. Without color, the words for colors are
ignored. The word `json` marks text to color as JSON where color is shown (see `text.json_highlight`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from unicodedata import category, east_asian_width

STYLES = {"bold": 1, "dim": 2}
COLORS = {"red": 31, "green": 32, "yellow": 33, "magenta": 35, "cyan": 36}
JSON = "json"
_RESET = "\x1b[0m"


class Span(NamedTuple):
    """A part of styled text in one style, with the URL of its link or an empty string."""

    text: str
    style: str = ""
    link: str = ""


class Styled:
    """A styled text, usually one line. With `no_wrap`, it is never wrapped, because a user copies it."""

    __slots__ = ("no_wrap", "spans")

    def __init__(self, text: str = "", style: str = "", *, link: str = "", no_wrap: bool = False) -> None:
        self.spans: tuple[Span, ...] = (Span(text, style, link),) if text else ()
        self.no_wrap = no_wrap

    @classmethod
    def assemble(cls, *parts: str | tuple[str, str] | Styled, no_wrap: bool = False) -> Styled:
        """Return styled text from its parts: strings, pairs of a string and its style, and styled texts."""
        return cls._of((span for part in parts for span in _spans(part)), no_wrap=no_wrap)

    @classmethod
    def _of(cls, spans: Iterable[Span], *, no_wrap: bool) -> Styled:
        text = cls(no_wrap=no_wrap)
        text.spans = tuple(spans)
        return text

    @property
    def plain(self) -> str:
        """The text without styles."""
        return "".join([span.text for span in self.spans])

    def part(self, start: int, end: int | None = None) -> Styled:
        """Return the characters from `start` to `end` with their styles."""
        return Styled._of(self._cut(start, len(self.plain) if end is None else end), no_wrap=self.no_wrap)

    def replaced(self, spans: Iterable[Span]) -> Styled:
        """Return text with other spans that wraps like this text."""
        return Styled._of(spans, no_wrap=self.no_wrap)

    def _cut(self, start: int, end: int) -> Iterator[Span]:
        position = 0
        for span in self.spans:
            kept = span.text[max(0, start - position) : max(0, end - position)]
            if kept:
                yield span._replace(text=kept)
            position += len(span.text)


def _spans(part: str | tuple[str, str] | Styled) -> Iterable[Span]:
    if isinstance(part, Styled):
        return part.spans
    return (Span(part),) if isinstance(part, str) else (Span(*part),)


def escape_sequences(text: Styled, *, color: bool) -> str:
    """Return text with the escape sequences for its styles and links."""
    return "".join([_painted(span, color=color) for span in text.spans])


def _painted(span: Span, *, color: bool) -> str:
    known = {**STYLES, **COLORS} if color else STYLES
    codes = ";".join([str(known[word]) for word in span.style.split() if word in known])
    shown = f"\x1b[{codes}m{span.text}{_RESET}" if codes else span.text
    return f"\x1b]8;;{span.link}\x1b\\{shown}\x1b]8;;\x1b\\" if span.link else shown


# From first to last: trigrams, hexagrams, Tai Xuan Jing symbols and counting rods. They are wide since Unicode 16,
# which is newer than some versions of Python.
_WIDE_SINCE_UNICODE_16 = (
    ("\u2630", "\u2637"), ("\u268a", "\u268f"), ("\u4dc0", "\u4dff"),
    ("\U0001d300", "\U0001d356"), ("\U0001d360", "\U0001d376"),
)  # fmt: skip


def cell_width(text: str) -> int:
    """Return how many terminal columns `text` takes: two for a wide character, and none for a combining character."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    is_wide = east_asian_width(character) in {"W", "F"}
    if is_wide or any(first <= character <= last for first, last in _WIDE_SINCE_UNICODE_16):
        return 2
    return 0 if category(character) in {"Mn", "Me", "Cf"} else 1


def cut_to(text: str, width: int, *, end: str) -> str:
    """Return `text` in at most `width` columns, with `end` in place of omitted text."""
    if cell_width(text) <= width:
        return text
    room, used = max(0, width - cell_width(end)), 0
    for number, character in enumerate(text):
        used += _cells(character)
        if used > room:
            return text[:number] + end
    return text


def cut_middle(text: str, width: int) -> str:
    """Return `text` in at most `width` columns, with an ellipsis in place of its middle."""
    if cell_width(text) <= width:
        return text
    end = cut_to(text[::-1], (width - 1) // 2, end="")[::-1]
    while end and not cell_width(end[0]):  # a combining character whose letter is cut off
        end = end[1:]
    return cut_to(text, width - 1 - cell_width(end), end="") + "…" + end


def padded(text: str, width: int) -> str:
    """Return `text` with spaces up to `width` columns."""
    return text + " " * (width - cell_width(text))
