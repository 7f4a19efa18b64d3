"""Write a JSON document as the serializers between Port and a handler write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from port_hook_cli.invocations.models import Cause
from port_hook_cli.javascript.nesting import count_marks
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.budget import Budget

MAX_INDENTED_CHARACTERS = 2**18
"""Longer texts are not indented, because that costs most."""

MAX_INDENTED_MARKS = 2**12
"""Documents with more commas, colons and opening brackets are not indented either."""

MAX_DIGITS = 400
"""Python's forms are not tried with longer whole numbers: their cost grows with the square of the digits."""

_TABBED_LIMIT = 2 * MAX_INDENTED_CHARACTERS
"""Texts that are longer when indented with tabs are left out: indentation can grow with the square of the depth."""

_INDENTS = {"2": ("  ", "2 spaces"), "4": ("    ", "4 spaces"), "tab": ("\t", "a tab")}
_COMPACT = (",", ":")
_beyond_ascii = re.compile(r"[^\x00-~]+").sub
_NOTHING = object()
_long_number = re.compile(rf"(?<![0-9])[0-9]{{{MAX_DIGITS}}}").search

_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_CLOSERS = frozenset("]}")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# The text before the next mark with white space around it. Empty containers are not indented.
_up_to_mark = re.compile(rf"((?:{_STRING}|\[\]|\{{\}}|[^\"\[\]{{}},:])*+)([\[\]{{}},:]|\Z)").findall


@dataclass(frozen=True, slots=True)
class Serialization:
    """A document as one serializer writes it, and the cause to report if that is what was signed."""

    reading: str
    cause: Cause
    text: str


def serializations(text: str, budget: Budget) -> Iterator[Serialization]:
    """Yield the document in `text` as other serializers write it, most likely first. Never raises.

    A serializer that cannot write the document is left out: because it is nested too deeply, or is not JSON.
    """
    document = _python_document(text, budget)
    js, unescaped = _stringify(text), _dumps(document, separators=_COMPACT, ensure_ascii=False)
    yield from _compact(text, document, js, unescaped)
    yield from _spaced(document)
    if len(text) > MAX_INDENTED_CHARACTERS:
        budget.leave_out("Indented forms were not tried: the body is larger than 256 KiB.")
    elif count_marks(text) > MAX_INDENTED_MARKS:
        budget.leave_out("Indented forms were not tried: the body has too many values.")
    else:
        yield from _indented(js, unescaped, budget)


def _compact(text: str, document: Any, js: str | None, unescaped: str | None) -> Iterator[Serialization]:
    node = _serialization("js", causes.RESERIALIZED_JS, js)
    python = _serialization("python-compact", causes.RESERIALIZED_PYTHON_COMPACT, _dumps(document, separators=_COMPACT))
    # If both write the same text, the body shows which is more likely: Python if json.dumps writes this body.
    yield from (*python, *node) if _dumps(document) == text else (*node, *python)
    if unescaped != js:
        yield from _serialization("python-compact-unescaped", causes.RESERIALIZED_PYTHON_UNESCAPED, unescaped)


def _spaced(document: Any) -> Iterator[Serialization]:
    yield from _serialization("python", causes.RESERIALIZED_PYTHON, _dumps(document))
    yield from _serialization("python-unescaped", causes.RESERIALIZED_PYTHON, _dumps(document, ensure_ascii=False))


def _indented(js: str | None, compact: str | None, budget: Budget) -> Iterator[Serialization]:
    """Yield the indented forms. Tabs inside strings are always escaped, so every tab here is indentation."""
    node = _with_tabs(js, budget)
    unescaped = node if compact == js else _with_tabs(compact, budget)
    escaped = None if unescaped is None else _beyond_ascii(_escape, unescaped)
    for name, (indent, indentation) in _INDENTS.items():
        # If styles write the same text, the last one counts.
        styles = {
            unescaped: (
                "python-indented-unescaped",
                f"indented with {indentation} as json.dumps does it without escapes",
            ),
            escaped: ("python-indented", f"indented with {indentation} as json.dumps does it"),
            node: ("js-indented", f"indented with {indentation} as JSON.stringify does it"),
        }
        for rendered, (reading, style) in styles.items():
            wide = None if rendered is None else rendered.replace("\t", indent)
            yield from _serialization(f"{reading}-{name}", causes.reserialized_indented(style), wide)


def _serialization(reading: str, cause: Cause, text: str | None) -> tuple[Serialization, ...]:
    return () if text is None else (Serialization(reading, cause, text),)


def _escape(match: re.Match[str]) -> str:
    return encode_basestring_ascii(match[0])[1:-1]


def _stringify(text: str) -> str | None:
    try:
        return stringify(text)
    except NotJson:
        return None


def _python_document(text: str, budget: Budget) -> Any:
    if _has_long_number(text):
        budget.leave_out(f"Python's forms were not tried: a number has {MAX_DIGITS} digits or more.")
        return _NOTHING
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _has_long_number(text: str) -> bool:
    # Any run of this many digits has a digit at one of these positions, so the pattern need not read the rest.
    for index, character in enumerate(text[MAX_DIGITS - 1 :: MAX_DIGITS]):
        start = index * MAX_DIGITS
        if "0" <= character <= "9" and _long_number(text[start : start + 2 * MAX_DIGITS - 1]):
            return True
    return False


def _dumps(document: Any, **style: Any) -> str | None:
    try:
        return None if document is _NOTHING else json.dumps(document, **style)
    except RecursionError:
        return None


def _with_tabs(compact: str | None, budget: Budget) -> str | None:
    """Return compact JSON indented with tabs as both languages do it, or None if the result is too long."""
    if compact is None:
        return None
    pieces: list[str] = []
    breaks, depth, room = ["\n"], 0, _TABBED_LIMIT - len(compact)
    for run, mark in _up_to_mark(compact):
        depth += _STEPS.get(mark, 0)
        if depth == len(breaks):
            breaks.append(breaks[-1] + "\t")
        room -= depth if mark != ":" else 0
        if room < 0:
            budget.leave_out("Indented forms were not tried: the body is nested too deeply.")
            return None
        if mark in _CLOSERS:
            pieces += (run, breaks[depth], mark)
        else:
            pieces += (run, mark, " " if mark == ":" else breaks[depth] if mark else "")
    return "".join(pieces)
