"""How many calls a minute are answered, for callers that are to show what they make of 429."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

_WINDOW_S = 60.0


class Allowance:
    """Lets `calls` through in any 60 seconds (0: all of them). `now` returns seconds."""

    def __init__(self, calls: int, now: Callable[[], float]) -> None:
        self._calls = calls
        self._now = now
        self._taken: deque[float] = deque()

    def refill(self) -> None:
        """Forget the calls that were counted."""
        self._taken.clear()

    def take(self) -> int:
        """Return 0 and count a call, or the whole seconds until the next one is let through."""
        if not self._calls:
            return 0
        now = self._now()
        while self._taken and self._taken[0] <= now - _WINDOW_S:
            self._taken.popleft()
        if len(self._taken) >= self._calls:
            return max(1, math.ceil(self._taken[0] + _WINDOW_S - now))
        self._taken.append(now)
        return 0
