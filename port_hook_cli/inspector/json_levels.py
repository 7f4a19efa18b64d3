"""Returns a JSON document one level at a time, so that a page holds only what it shows. This module is pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from port_hook_cli.javascript.paths import MAX_POINTER, escaped, value_at

SCALAR_CHARACTERS = 4_096
MAX_CHILDREN = 1_000
MAX_MATCHES = 200

_MAX_VISITED = 300_000


class _Member(NamedTuple):
    """A member of an object or an array. In an array, the key is the index."""

    key: str
    value: Any


def level(document: Any, pointer: str, *, offset: int = 0, limit: int = MAX_CHILDREN) -> dict[str, Any]:
    """Return the value at `pointer`, with at most `limit` of its children, starting at `offset`. Raises NoSuchValue."""
    value = value_at(document, pointer)
    limit = min(limit, MAX_CHILDREN)
    children = [
        {"key": member.key, "path": f"{pointer}/{escaped(member.key)}", **describe(member.value)}
        for member in islice(_members(value), offset, offset + limit)
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
    """Return the type, size and text of a value. An object or array has no text."""
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
    """Return a scalar as JSON text. A long string is cut after 4,096 characters and has no closing quote."""
    if isinstance(value, str):
        text = json.dumps(value[:SCALAR_CHARACTERS], ensure_ascii=False)
        return text if len(value) <= SCALAR_CHARACTERS else text[:-1]
    return json.dumps(value)


def find(document: Any, text: str) -> dict[str, Any]:
    """Return the pointers of at most 200 members whose key or scalar contains `text`, in upper or lower case."""
    wanted = text.casefold()
    matches: list[str] = []
    is_complete = True
    for visited, (keys, value) in enumerate(_walk(document)):
        if visited == _MAX_VISITED or len(matches) == MAX_MATCHES:
            return {"matches": matches, "complete": False}
        if wanted in keys[-1].casefold() or (
            not isinstance(value, (dict, list)) and wanted in _plain(value).casefold()
        ):
            pointer = _pointer(keys)
            is_complete = is_complete and pointer is not None
            matches += [pointer] if pointer is not None else []
    return {"matches": matches, "complete": is_complete}


def _pointer(keys: Sequence[str]) -> str | None:
    """Return the JSON Pointer of these keys, or None if the pointer is too long."""
    if sum(map(len, keys)) + len(keys) > MAX_POINTER:
        return None
    return "".join(f"/{escaped(key)}" for key in keys)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _walk(document: Any) -> Iterator[tuple[Sequence[str], Any]]:
    """Yield the keys and the value of each member, in the order of the document.

    The yielded keys change with the next member. This function doesn't recurse or build pointers, because the sender
    chooses the depth and the keys.
    """
    keys: list[str] = []
    stack = [_members(document)]
    while stack:
        member = next(stack[-1], None)
        if member is None:
            stack.pop()
            del keys[len(stack) - 1 :]
            continue
        del keys[len(stack) - 1 :]
        keys.append(member.key)
        yield keys, member.value
        if isinstance(member.value, (dict, list)):
            stack.append(_members(member.value))


def _members(value: Any) -> Iterator[_Member]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield _Member(key, inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield _Member(str(number), inner)
