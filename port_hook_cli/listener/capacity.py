"""How many bytes of request bodies a listener holds at once, over all of its connections."""

from __future__ import annotations

from collections.abc import Callable


class Capacity:
    """A limit that all requests share. `tell` is called once for each period in which requests were refused.

    Such a period ends when half of the limit is free again. `emptied` is called when nothing is in use anymore after
    a quarter of the limit was.
    """

    def __init__(self, limit: int, tell: Callable[[], None], emptied: Callable[[], None]) -> None:
        self._limit = limit
        self._tell = tell
        self._emptied = emptied
        self._is_exhausted = False
        self._was_large = False
        self.used = 0

    def take(self, size: int) -> bool:
        """Take `size` bytes; return whether they fit."""
        if self.used + size <= self._limit:
            self.used += size
            self._was_large = self._was_large or self.used > self._limit // 4
            return True
        if not self._is_exhausted:
            self._is_exhausted = True
            self._tell()
        return False

    def give_back(self, size: int) -> None:
        """Release `size` bytes that were taken."""
        self.used -= size
        if self._is_exhausted and self.used <= self._limit // 2:
            self._is_exhausted = False
        if self._was_large and not self.used:
            self._was_large = False
            self._emptied()


class Share:
    """The part of a capacity that one request has taken. Release it when the request ends, in any way."""

    __slots__ = ("_capacity", "_size")

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._size = 0

    def add(self, size: int) -> bool:
        """Take `size` more bytes; return whether they fit."""
        if not self._capacity.take(size):
            return False
        self._size += size
        return True

    def release(self) -> None:
        """Release everything that was taken."""
        self._capacity.give_back(self._size)
        self._size = 0
