"""JSON Pointers (RFC 6901) into a document, and the beginning of a value's JSON. Pure."""

from __future__ import annotations

import json
from typing import Any

MAX_POINTER = 4_096
"""A match at a longer pointer is left out; no address could name it."""

_MAX_DIGITS = 15


class NoSuchValue(ValueError):
    """A pointer that leads nowhere in the document."""


def value_at(document: Any, pointer: str) -> Any:
    """Return the value at a JSON Pointer (RFC 6901); raises NoSuchValue."""
    if pointer and not pointer.startswith("/"):
        raise NoSuchValue(pointer)
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and is_index(key, value):
            value = value[int(key)]
        else:
            raise NoSuchValue(pointer)
    return value


def is_index(key: str, values: list[Any]) -> bool:
    """Return whether a token of a JSON Pointer is the number of a member of `values`."""
    return key.isascii() and key.isdigit() and len(key) <= _MAX_DIGITS and int(key) < len(values)


def escaped(key: str) -> str:
    """Return a key as a token of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def short_text(value: Any, limit: int) -> str:
    """Return the beginning of a value's JSON, at most `limit` characters and an ellipsis.

    Each level takes a character, so that a deep document reaches the limit before Python's recursion limit.
    """
    parts: list[str] = []
    length = 0
    for part in json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode(value):
        parts.append(part[: limit + 1])
        length += len(part)
        if length > limit:
            return "".join(parts)[:limit] + "…"
    return "".join(parts)
