"""Tracks which messages of one partition are processed. Pure."""

from __future__ import annotations

from collections import deque


class PartitionProgress:
    """The messages of one partition that are in progress, in the order of their offsets.

    Messages finish in any order; `next_offset` never passes one that has not. It is None until one has finished.
    """

    def __init__(self) -> None:
        self.next_offset: int | None = None
        self._started: deque[int] = deque()
        self._finished: set[int] = set()

    def __len__(self) -> int:
        return len(self._started)

    def start(self, offset: int) -> None:
        """Record a message, whose offset is larger than those before it."""
        self._started.append(offset)

    def finish(self, offset: int) -> int | None:
        """Record that a message is saved. Return the new `next_offset` if it has changed, else None."""
        self._finished.add(offset)
        last: int | None = None
        while self._started and self._started[0] in self._finished:
            last = self._started.popleft()
            self._finished.remove(last)
        if last is None:
            return None
        self.next_offset = last + 1
        return self.next_offset

    def drop(self, offset: int) -> None:
        """Forget the last message: it is not processed here, and another consumer gets it."""
        assert self._started[-1] == offset
        self._started.pop()
