"""A JSON document as the serialisers write it that stand between Port and a handler."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from port_hook_cli.core import causes
from port_hook_cli.core.ecmajson import NotJson, stringify
from port_hook_cli.core.models import Cause

MAX_INDENTED_CHARACTERS = 2**18
"""Longer texts are not written with indentation, which costs most and can grow with the square of the depth."""

_INDENTED_LIMIT = 8 * MAX_INDENTED_CHARACTERS
_INDENTS = {"2": ("  ", "2 spaces"), "4": ("    ", "4 spaces"), "tab": ("\t", "a tab")}
_COMPACT = (",", ":")
_beyond_ascii = re.compile(r"[^\x00-~]").sub
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one serialiser makes of a document, and the cause to name when that is what was signed."""

    reading: str
    cause: Cause
    text: str


def renderings(text: str) -> Iterator[Rendering]:
    """Yield the document in `text` as other serialisers write it, the likelier first. Never raises.

    A serialiser that would fail on the document is left out: Node on deep nesting, Python on that and on very long
    whole numbers, both on text that is not JSON.
    """
    document = _python_document(text)
    yield from _compact(text, document)
    yield from _spaced(document)
    if len(text) <= MAX_INDENTED_CHARACTERS:
        yield from _indented(text, document)


def is_json(text: str) -> bool:
    """Return whether Node or Python reads `text` as JSON."""
    return _stringify(text) is not None or _python_document(text) is not _NOTHING


def _compact(text: str, document: Any) -> Iterator[Rendering]:
    js, unescaped = _stringify(text), _dumps(document, separators=_COMPACT, ensure_ascii=False)
    node = _rendering("js", causes.RESERIALISED_JS, js)
    python = _rendering("python-compact", causes.RESERIALISED_PYTHON_COMPACT, _dumps(document, separators=_COMPACT))
    # Where the two are the same text, the body tells who wrote it: Python, if it is what json.dumps writes.
    yield from (*python, *node) if _dumps(document) == text else (*node, *python)
    if unescaped != js:
        yield from _rendering("python-compact-unescaped", causes.RESERIALISED_PYTHON_UNESCAPED, unescaped)


def _spaced(document: Any) -> Iterator[Rendering]:
    yield from _rendering("python", causes.RESERIALISED_PYTHON, _dumps(document))
    yield from _rendering("python-unescaped", causes.RESERIALISED_PYTHON, _dumps(document, ensure_ascii=False))


def _indented(text: str, document: Any) -> Iterator[Rendering]:
    """Yield the indented forms. Inside strings a tab is always escaped, so that every tab here is indentation."""
    node = _stringify(text, "\t", limit=_INDENTED_LIMIT)
    unescaped = _dump_with_tabs(document)
    escaped = None if unescaped is None else _beyond_ascii(_escape, unescaped)
    for name, (indent, words) in _INDENTS.items():
        # Of styles that come out the same, the last counts.
        styles = {
            unescaped: ("python-indented-unescaped", f"indented with {words} as json.dumps does it without escapes"),
            escaped: ("python-indented", f"indented with {words} as json.dumps does it"),
            node: ("js-indented", f"indented with {words} as JSON.stringify does it"),
        }
        for rendered, (reading, style) in styles.items():
            wide = None if rendered is None else rendered.replace("\t", indent)
            yield from _rendering(f"{reading}-{name}", causes.reserialised_indented(style), wide)


def _rendering(reading: str, cause: Cause, text: str | None) -> tuple[Rendering, ...]:
    return () if text is None else (Rendering(reading, cause, text),)


def _escape(match: re.Match[str]) -> str:
    return encode_basestring_ascii(match[0])[1:-1]


def _stringify(text: str, indent: str = "", **limit: int) -> str | None:
    try:
        return stringify(text, indent, **limit)
    except NotJson:
        return None


def _python_document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _dumps(document: Any, **style: Any) -> str | None:
    try:
        return None if document is _NOTHING else json.dumps(document, **style)
    except RecursionError:
        return None


def _dump_with_tabs(document: Any) -> str | None:
    """Return `document` indented with tabs, unless that is too long."""
    if document is _NOTHING:
        return None
    chunks, length = [], 0
    try:
        for chunk in json.JSONEncoder(indent="\t", ensure_ascii=False).iterencode(document):
            chunks.append(chunk)
            length += len(chunk)
            if length > _INDENTED_LIMIT:
                return None
    except RecursionError:
        return None
    return "".join(chunks)
