"""Split log messages so that each fits into a request: Port refuses bodies over 1 MiB with 413."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# "Request body is too large (limit is 1MiB)", Port's API reference, every route that takes a body.
REQUEST_LIMIT = 1024 * 1024


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that a call sends: compact JSON in UTF-8.

    A lone surrogate, which UTF-8 cannot encode, becomes `?`.
    """
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def split_log(message: str, limit: int = REQUEST_LIMIT, envelope: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return `message` in parts, each of which fits into a request of at most `limit` bytes.

    The limit is that of the encoded request, where a quote or a line feed takes two bytes and a control character six.
    A part ends after its last line feed if it has one, and never inside a character. `envelope` is the request's body
    with an empty message (default: that of an action run's log). Raises ValueError if not one character fits.
    """
    capacity = limit - len(encode_body({"message": ""} if envelope is None else envelope))
    parts = []
    start = 0
    while start < len(message):
        end = _furthest_end(message, start, capacity)
        if end < len(message):
            end = message.rfind("\n", start, end) + 1 or end
        parts.append(message[start:end])
        start = end
    return tuple(parts)


def _furthest_end(message: str, start: int, capacity: int) -> int:
    """Return the end of the longest slice from `start` that takes at most `capacity` bytes as a JSON string."""
    # A character takes at least one byte, so a slice with more characters than `capacity` cannot fit.
    longest = min(len(message), start + max(capacity, 0))
    fits = longest if _json_size(message[start:longest]) <= capacity else start  # usually, the whole message fits
    too_far = longest + 1
    while too_far - fits > 1:
        middle = (fits + too_far) // 2
        if _json_size(message[start:middle]) <= capacity:
            fits = middle
        else:
            too_far = middle
    if fits == start:
        raise ValueError("the limit is too small for a single character")
    return fits


def _json_size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - len('""')
