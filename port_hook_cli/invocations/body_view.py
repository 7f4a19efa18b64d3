"""Bodies and JSON values for the screen.

A body may be 10 MB, or nested thousands deep: only the part that is shown is written out.
"""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from typing import Any

from port_hook_cli.invocations.models import Payload
from port_hook_cli.text.safe import brief, printable_lines

_VALUE_LIMIT = 200
_MOST_PARSED = 64 * 1024
_MOST_BYTES_OF_A_CHARACTER = 4


def body_text(payload: Payload, body: bytes, *, limit: int) -> str | None:
    """Return a payload's body as `bytes_text` does; its JSON is indented whatever its size."""
    if payload.document is None:
        return bytes_text(body, limit=limit)
    return printable_lines(_beginning(payload.document, limit, indent=2))


def bytes_text(body: bytes, *, limit: int) -> str | None:
    """Return the beginning of a body, None when it is no UTF-8: indented JSON (up to 64 kB), or its text.

    What has more than `limit` characters is cut somewhere after them.
    """
    is_whole = len(body) <= _MOST_PARSED
    part = body if is_whole else body[: _MOST_BYTES_OF_A_CHARACTER * (limit + 1)]
    try:
        text = getincrementaldecoder("utf-8")().decode(part, final=is_whole)
    except UnicodeDecodeError:
        return None
    if is_whole:
        try:
            return printable_lines(_beginning(json.loads(text), limit, indent=2))
        except (RecursionError, ValueError):
            pass
    return printable_lines(text[: limit + 1])


def value_text(value: Any) -> str:
    """Return a JSON value on one line, cut where it is long."""
    return brief(_beginning(value, _VALUE_LIMIT), _VALUE_LIMIT)


def _beginning(document: Any, limit: int, *, indent: int | None = None) -> str:
    """Return a document's JSON, or its first `limit + 1` characters.

    Each level costs at least a character, and more where it is indented: a deep document fills the limit before it
    gets to the interpreter's depth.
    """
    parts, length = [], 0
    for part in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(document):
        parts.append(part[: limit + 1])
        length += len(part)
        if length > limit:
            break
    return "".join(parts)[: limit + 1]
