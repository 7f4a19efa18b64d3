"""The size of a sandbox's state. Clients can add entities, secrets and logs endlessly, so their size is limited."""

from __future__ import annotations

import json
from typing import Any

from port_hook_cli.javascript.nesting import count_marks

MAX_STATE_BYTES = 128 * 1024 * 1024
"""Half the maximum size of a state file, so that the next start can load everything that was accepted. A part may
have a quarter of this size, which is half the maximum of a part in a state file."""

BYTES_OF_A_MARK = 16
"""What a comma, colon or opening bracket counts for at least: a short value takes more memory than its text. At this
weight, a full state has about half of the marks that a state file may have."""


class StateSize:
    """The bytes that the parts of a state have as JSON, or more for many short values. A part has a kind and a key."""

    def __init__(self, limit: int = MAX_STATE_BYTES) -> None:
        self.limit = limit
        self.total = 0
        self._large: set[tuple[str, str]] = set()
        self._parts: dict[tuple[str, str], int] = {}

    @property
    def is_full(self) -> bool:
        """Whether the state has reached the limit."""
        return self.total >= self.limit

    @property
    def has_room(self) -> bool:
        """Whether the state accepts more: it is not full, and each part is smaller than a quarter of the limit."""
        return not self.is_full and not self._large

    def set(self, kind: str, key: str, value: Any) -> None:
        """Count an added or changed part. None stands for a deleted part."""
        self.total -= self._parts.pop((kind, key), 0)
        self._large.discard((kind, key))
        if value is not None:
            text = json.dumps(value)
            size = self._parts[kind, key] = len(key) + max(len(text), BYTES_OF_A_MARK * count_marks(text))
            self.total += size
            if size >= self.limit // 4:
                self._large.add((kind, key))
