"""Limits on responses, and sizes in the notation that users write."""

from __future__ import annotations

import re

KIB, MIB = 1024, 1024 * 1024
API_TIMEOUT_S = 30.0
"""The time limit for one call to Port's API, from connecting to the last byte of the response."""

MAX_API_BYTES = 8 * MIB
"""The limit for a response body from Port's API."""

MAX_RESPONSE_BYTES = 32 * MIB
"""The limit for a response body from a handler, unless the user sets another limit."""

_UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **dict.fromkeys(("k", "ki", "kib"), KIB),
    **dict.fromkeys(("m", "mi", "mib"), MIB),
    **dict.fromkeys(("g", "gi", "gib"), 1024 * MIB),
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
}
_SIZE = r"(?i)([0-9]{1,15})\s*([a-z]*)"


def parse_size(text: str) -> int:
    """Return the number of bytes in `text`, such as `500`, `64K`, `32MiB` or `1GB`.

    Raises ValueError for other text.
    """
    match = re.fullmatch(_SIZE, text.strip())
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a size like 500, 64KiB, 32MiB or 1GiB.")
    return int(match[1]) * factor


def format_size(size: int) -> str:
    """Return a number of bytes in the largest unit that divides it evenly, such as `32 MiB` or `300 bytes`."""
    for unit, factor in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"
