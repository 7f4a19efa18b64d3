"""Bodies and JSON values as text for the screen.

A body may have 10 MB or thousands of levels, so only the part that is shown is formatted.
"""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from typing import Any

from port_hook_cli.invocations.models import Payload
from port_hook_cli.text.safe import brief, printable_lines

_VALUE_LIMIT = 200
_MAX_PARSED_BYTES = 64 * 1024
_MAX_BYTES_PER_CHARACTER = 4


def body_text(payload: Payload, body: bytes, *, limit: int) -> str | None:
    """Return a payload's body as `bytes_text` does, but with its JSON indented whatever its size is."""
    if payload.document is None:
        return bytes_text(body, limit=limit)
    return printable_lines(_beginning(payload.document, limit, indent=2))


def bytes_text(body: bytes, *, limit: int) -> str | None:
    """Return the beginning of a body as text, or None if it is not UTF-8. JSON of up to 64 KiB is indented.

    The result is complete if it has at most `limit` characters; otherwise it is truncated.
    """
    is_whole = len(body) <= _MAX_PARSED_BYTES
    part = body if is_whole else body[: _MAX_BYTES_PER_CHARACTER * (limit + 1)]
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
    """Return a JSON value on one line, truncated if it is long."""
    return brief(_beginning(value, _VALUE_LIMIT), _VALUE_LIMIT)


def _beginning(document: Any, limit: int, *, indent: int | None = None) -> str:
    """Return a document's JSON, or its first `limit + 1` characters.

    Each level takes at least one character, so a deep document reaches the limit before Python's recursion limit.
    """
    parts, length = [], 0
    for part in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(document):
        parts.append(part[: limit + 1])
        length += len(part)
        if length > limit:
            break
    return "".join(parts)[: limit + 1]
