"""A limit of calls per minute, for testing how a caller handles 429."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

_WINDOW_S = 60.0


class RateLimit:
    """Allows `calls` calls in any 60 seconds; 0 allows all. `now` returns seconds."""

    def __init__(self, calls: int, now: Callable[[], float]) -> None:
        self._calls = calls
        self._now = now
        self._taken: deque[float] = deque()

    def reset(self) -> None:
        """Forget the calls that were counted so far."""
        self._taken.clear()

    def take(self) -> int:
        """Count a call and return 0, or return the whole seconds until the next call is allowed."""
        if not self._calls:
            return 0
        now = self._now()
        while self._taken and self._taken[0] <= now - _WINDOW_S:
            self._taken.popleft()
        if len(self._taken) >= self._calls:
            return max(1, math.ceil(self._taken[0] + _WINDOW_S - now))
        self._taken.append(now)
        return 0
