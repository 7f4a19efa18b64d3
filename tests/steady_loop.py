"""An event loop for tests. Its clock stops while the process is stopped.

A busy machine may stop a process for seconds. Without this loop, all timers that came due meanwhile would then run
before the events that a test waits for: a connection would be closed although its request has been sent.
"""

from __future__ import annotations

import asyncio
import selectors
import time

# A longer step of the clock is a stall, of which only this much counts.
MOST_S = 0.05


class Clock:
    """Monotonic time without stalls."""

    def __init__(self) -> None:
        self._real_s = self._shown_s = time.monotonic()

    def time(self) -> float:
        """Return the time in seconds."""
        return self._pass(MOST_S)

    def waited(self, most_s: float | None) -> None:
        """Count the time since the last call as a wait. Its limit was `most_s` seconds, or None for no limit."""
        is_stall = most_s is not None and time.monotonic() - self._real_s > most_s + MOST_S
        self._pass(MOST_S if is_stall else None)

    def _pass(self, most_s: float | None) -> float:
        now_s = time.monotonic()
        step_s = now_s - self._real_s
        self._real_s = now_s
        self._shown_s += step_s if most_s is None else min(step_s, most_s)
        return self._shown_s


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock.time()
        found = super().select(timeout)
        self._clock.waited(None if timeout is None else max(timeout, 0.0))
        return found


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers do not come due while the process is stopped."""

    def __init__(self) -> None:
        self._clock = Clock()
        super().__init__(_Selector(self._clock))

    def time(self) -> float:
        """Return the time in seconds, without stalls."""
        return self._clock.time()
