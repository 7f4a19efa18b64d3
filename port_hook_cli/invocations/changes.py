"""The difference between the two sides of an automation's event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from port_hook_cli.invocations.models import EventChange

# Timestamps and versions change with every event and say nothing about it.
_NOISE = frozenset({"updatedAt", "updatedBy"})
_MOST_CHANGES = 200


def find_changes(before: Any, after: Any) -> tuple[EventChange, ...]:
    """Return what differs between `before` and `after`, as dotted paths; at most 200 changes.

    A side that is null (an entity just created or deleted) differs as a whole in each of its top-level keys.
    """
    changes = []
    for change in _walk("", before, after):
        changes.append(change)
        if len(changes) == _MOST_CHANGES:
            break
    return tuple(changes)


def _walk(path: str, before: Any, after: Any) -> Iterator[EventChange]:
    # A stack instead of recursion: the depth is the sender's choice.
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
