"""Find the jq expressions in a template: double braces, the quotes inside them, and the programs that jq evaluates.

The rules and the error messages come from Port's template engine, npm `@port-labs/jq-node-bindings`. Like JavaScript,
the engine counts in UTF-16 code units, even for the indices in its errors.
"""

from __future__ import annotations

import re
from functools import lru_cache

from port_hook_cli.frozen import frozen
from port_hook_cli.text.secret import cut_message

JS_SPACE = "\t\n\x0b\x0c\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""The characters that JavaScript's `trim` treats as whitespace, for a character class."""

_TRIMMED = rf"\A[{JS_SPACE}]+|[{JS_SPACE}]+\Z"
_SPREAD = rf"\{{\{{[{JS_SPACE}]*spreadValue\([{JS_SPACE}]*\)[{JS_SPACE}]*\}}\}}"
# A quote opens a string at the start or after whitespace, and closes it at the end or before whitespace.
_QUOTE_AT_AN_EDGE = rf"(\A|[{JS_SPACE}])'(?![{JS_SPACE}\"])|(?<![{JS_SPACE}\"])'([{JS_SPACE}]|\Z)"
_LONE_SURROGATE = "[\ud800-\udfff]"
_BRACES = 2
# The number of cached texts. An organization has few templates and renders them often.
_REMEMBERED = 1000


class BadTemplate(ValueError):
    """Port's engine rejects the template. The message is up to 256 characters of the engine's own message."""

    def __init__(self, message: str) -> None:
        super().__init__(cut_message(message))


@frozen
class Text:
    """A string of a template: its jq `expressions`, and the `pieces` of text around the expressions.

    `is_whole` means that the string consists of one expression, so the result keeps its type.
    """

    pieces: tuple[str, ...]
    expressions: tuple[str, ...]
    is_whole: bool


def trim(text: str) -> str:
    """Return `text` without the whitespace that JavaScript's `trim` removes from both ends."""
    return re.sub(_TRIMMED, "", text)


def is_spread(key: str) -> bool:
    """Return whether the value of a key is an object that is spread into the surrounding object."""
    return bool(re.fullmatch(_SPREAD, trim(key)))


@lru_cache(maxsize=_REMEMBERED)
def requote(expression: str) -> str:
    """Return `expression` with double quotes instead of single quotes around strings, and without lone surrogates."""
    quoted = re.sub(_QUOTE_AT_AN_EDGE, lambda match: f'{match[1] or ""}"{match[2] or ""}', expression)
    return re.sub(_LONE_SURROGATE, "\ufffd", quoted)


@lru_cache(maxsize=_REMEMBERED)
def split_template(template: str) -> Text:
    """Return the expressions in a string of a template. Raises BadTemplate for double braces that do not match."""
    if "{{" not in template and "}}" not in template:
        return Text((template,), (), is_whole=False)
    spans = _Reading(template).spans()
    starts = [0, *(end + _BRACES for _, end in spans)]
    ends = [*(start - _BRACES for start, _ in spans), len(template)]
    trimmed = trim(template)
    return Text(
        pieces=tuple(template[start:end] for start, end in zip(starts, ends, strict=True)),
        expressions=tuple(template[start:end] for start, end in spans),
        is_whole=len(spans) == 1 and trimmed.startswith("{{") and trimmed.endswith("}}"),
    )


class _Reading:
    """One pass over a template. The meaning of a character depends on the characters before it."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._quote = ""
        self._start = 0  # the start of the open expression, after its braces, or 0 if no expression is open
        self._spans: list[tuple[int, int]] = []

    def spans(self) -> list[tuple[int, int]]:
        """Return the start and end of each expression, without its braces."""
        position = 0
        while position < len(self._template):
            position = self._step(position) + 1
        if self._start:
            raise BadTemplate(
                f"Found opening double braces in index {self._index(self._start - _BRACES)}"
                " without closing double braces"
            )
        return self._spans

    def _step(self, position: int) -> int:
        """Read the character at `position`, and return the position of the last character read."""
        character = self._template[position]
        if self._start and character == "\\":
            return position + 1
        if self._start and character in {'"', "'"}:
            if not self._quote:
                self._quote = character
            elif self._quote == character:
                self._quote = ""
        elif not self._quote and character in {"{", "}"} and position and self._template[position - 1] == character:
            self._open(position) if character == "{" else self._close(position)
            # Three braces in a row are one pair and one brace, not two overlapping pairs.
            return position + (self._template[position + 1 : position + 2] == character)
        return position

    def _open(self, position: int) -> None:
        if self._start:
            raise BadTemplate(
                f"Found double braces in index {self._index(position - 1)}"
                f" inside other one in index {self._index(self._start - _BRACES)}"
            )
        self._start = position + 1

    def _close(self, position: int) -> None:
        if not self._start:
            raise BadTemplate(
                f"Found closing double braces in index {self._index(position - 1)} without opening double braces"
            )
        self._spans.append((self._start, position - 1))
        self._start = 0

    def _index(self, position: int) -> int:
        return position + sum(character > "\uffff" for character in self._template[:position])
