"""A JSON document one level at a time, so that a page never holds more than it shows. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

SCALAR_CHARACTERS = 4_096
MAX_CHILDREN = 1_000
MAX_MATCHES = 200
_MAX_VISITED = 300_000


class NoSuchValue(ValueError):
    """A pointer that leads nowhere in the document."""


class Step(NamedTuple):
    """A value on the way through a document: its pointer, its key (None at the top), and itself."""

    pointer: str
    key: str | None
    value: Any


def value_at(document: Any, pointer: str) -> Any:
    """Return the value at a JSON Pointer (RFC 6901); raises NoSuchValue."""
    if pointer and not pointer.startswith("/"):
        raise NoSuchValue(pointer)
    value = document
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise NoSuchValue(pointer)
    return value


def level(document: Any, pointer: str, *, offset: int = 0, limit: int = MAX_CHILDREN) -> dict[str, Any]:
    """Return the value at `pointer` with at most `limit` of its children from `offset`; raises NoSuchValue."""
    value = value_at(document, pointer)
    limit = min(limit, MAX_CHILDREN)
    children = [
        {"key": child.key, "path": child.pointer, **describe(child.value)}
        for child in islice(_children(Step(pointer, None, value)), offset, offset + limit)
    ]
    size = len(value) if isinstance(value, (dict, list)) else None
    following = offset + limit
    return {
        "path": pointer,
        **describe(value),
        "children": children,
        "next": following if size is not None and following < size else None,
    }


def describe(value: Any) -> dict[str, Any]:
    """Return type, size and text of a value; a container has no text."""
    if isinstance(value, dict):
        return {"type": "object", "size": len(value), "text": None}
    if isinstance(value, list):
        return {"type": "array", "size": len(value), "text": None}
    if isinstance(value, str):
        return {"type": "string", "size": len(value), "text": scalar_text(value)}
    kind = (
        {True: "true", False: "false", None: "null"}.get(value)
        if value is None or value is True or value is False
        else "number"
    )
    return {"type": kind, "size": None, "text": scalar_text(value)}


def scalar_text(value: Any) -> str:
    """Return a scalar as JSON writes it; a long string is cut after 4,096 characters and has no closing quote."""
    if isinstance(value, str):
        text = json.dumps(value[:SCALAR_CHARACTERS], ensure_ascii=False)
        return text if len(value) <= SCALAR_CHARACTERS else text[:-1]
    return json.dumps(value)


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


def find(document: Any, text: str) -> dict[str, Any]:
    """Return the pointers of members whose key or scalar contains `text` (in any case), at most 200."""
    wanted = text.casefold()
    matches: list[str] = []
    for visited, step in enumerate(_walk(document)):
        if visited == _MAX_VISITED or len(matches) == MAX_MATCHES:
            return {"matches": matches, "complete": False}
        if wanted in (step.key or "").casefold() or (
            not isinstance(step.value, (dict, list)) and wanted in _plain(step.value).casefold()
        ):
            matches.append(step.pointer)
    return {"matches": matches, "complete": True}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _walk(document: Any) -> Iterator[Step]:
    """Yield all values below the top in the document's order, without recursion: the sender chooses the depth."""
    stack = [_children(Step("", None, document))]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
            continue
        yield child
        if isinstance(child.value, (dict, list)):
            stack.append(_children(child))


def _children(parent: Step) -> Iterator[Step]:
    if isinstance(parent.value, dict):
        for key, value in parent.value.items():
            token = key.replace("~", "~0").replace("/", "~1")
            yield Step(f"{parent.pointer}/{token}", key, value)
    elif isinstance(parent.value, list):
        for index, value in enumerate(parent.value):
            yield Step(f"{parent.pointer}/{index}", str(index), value)
