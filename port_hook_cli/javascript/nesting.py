"""Limit the cost of JSON text (its levels and values) before parsing it, and reject what only Python accepts as JSON.

Python's own limit of levels differs between versions. port-hook's limits are the same with every version.
"""

from __future__ import annotations

import json
import re
from typing import Any

MOST_MARKS = 2_000_000
"""The maximum number of marks in a body. An empty list takes three bytes of the body, and about 70 bytes of memory."""

MOST_LEVELS = 900
"""The maximum number of levels of a value. Python 3.11 supports about 990 levels in each recursive function."""

# Large numbers are not rewritten, because without its exponent, 1e16 would look like a whole number.
_SMALL = r"-?[0-9.]+e-[0-9]+"
_MARKS = r'(?s)"(?:[^"\\]|\\.)*+"|[\[{\]}]'


def nests_too_deep(text: str) -> bool:
    """Return whether JSON text has more than MOST_LEVELS levels.

    The time is linear in the length of the text, and short if the text has few brackets.
    """
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    depth = 0
    for match in re.finditer(_MARKS, text):
        character = match[0]
        if character in "[{":
            depth += 1
            if depth > MOST_LEVELS:
                return True
        elif character in "]}":
            depth -= 1
    return False


def value_nests_too_deep(value: Any) -> bool:
    """Return whether a JSON value has more than MOST_LEVELS levels."""
    try:
        return nests_too_deep(json.dumps(value))
    except RecursionError:
        return True


def has_too_many_values(text: str) -> bool:
    """Return whether JSON text has so many values that parsing it would take hundreds of MB.

    The check is never slow.
    """
    return len(text) > MOST_MARKS and count_marks(text) > MOST_MARKS


def count_marks(text: str) -> int:
    """Return the number of commas, colons and opening brackets. JSON text with n of them has at most n + 1 values."""
    return sum(map(text.count, ",:[{"))


def strict_json(text: str | bytes, **options: Any) -> Any:
    """Return `json.loads(text)`. Raises ValueError for NaN and Infinity, which Python reads, but JSON doesn't have."""
    return json.loads(text, parse_constant=_reject_constant, **options)


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _as_javascript(number: re.Match[str]) -> str:
    from port_hook_cli.javascript.stringify import format_double  # imported here, because few bodies have such numbers

    return format_double(float(number[0]))


def json_beginning(value: Any, limit: int, *, indent: int | None = None, compact: bool = False) -> str:
    """Return a value as JSON, or the first `limit + 1` characters of its JSON.

    Small numbers are in the notation of JavaScript and Port: 1e-7, not 1e-07. Each level takes at least one character,
    so a deep value reaches `limit` before Python's recursion limit.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, indent=indent, separators=(",", ":") if compact else None)
    parts, length = [], 0
    for part in encoder.iterencode(value):
        # Each part is one value with its separator, and only strings have quotes.
        if '"' not in part and "e-" in part:
            part = re.sub(_SMALL, _as_javascript, part)  # noqa: PLW2901
        parts.append(part[: limit + 1])
        length += len(part)
        if length > limit:
            break
    return "".join(parts)[: limit + 1]
