"""The differences between the two sides of an automation's event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from port_hook_cli.invocations.models import EventChange

# These change with every event and say nothing about it.
_NOISE = frozenset({"updatedAt", "updatedBy"})
_MAX_CHANGES = 200


def find_changes(before: Any, after: Any) -> tuple[EventChange, ...]:
    """Return the differences between `before` and `after`, with dotted paths; at most 200.

    If a side is null because the entity was created or deleted, each top-level key of the other side is a difference.
    """
    changes = []
    for change in _walk("", before, after):
        changes.append(change)
        if len(changes) == _MAX_CHANGES:
            break
    return tuple(changes)


def _walk(path: str, before: Any, after: Any) -> Iterator[EventChange]:
    # A stack instead of recursion, because the sender chooses the depth.
    stack = [(path, before, after)]
    while stack:
        path, before, after = stack.pop()
        if isinstance(before, dict) and isinstance(after, dict):
            keys = [key for key in {**before, **after} if path or key not in _NOISE]
            inner = f"{path}." if path else ""
            stack.extend((f"{inner}{key}", before.get(key), after.get(key)) for key in reversed(keys))
        elif not _same(before, after):
            yield EventChange(path or ".", before, after)


def _same(before: Any, after: Any) -> bool:
    try:
        return bool(before == after)
    except RecursionError:
        return False
