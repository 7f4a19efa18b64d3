"""The pace of a series: at most N requests a second, evenly spaced."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable

from port_hook_cli.errors import UsageError

_RATE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:/(?P<unit>s|m))?")
_SECONDS = {"s": 1, "m": 60}


def parse_rate(text: str) -> float:
    """Return the rate in `50/s`, `50` or `600/m`, per second; raises UsageError."""
    match = _RATE.fullmatch(text.strip())
    rate_per_s = float(match["number"]) / _SECONDS[match["unit"] or "s"] if match else 0.0
    if not 0 < rate_per_s < math.inf:
        raise UsageError(f"{text!r} is not a rate.", hint="Write it like 50/s, or 600/m.")
    return rate_per_s


class Pace:
    """Admits callers one after another, at most `rate_per_s` a second.

    Lost time is not made up for, because that would cause a burst. `clock` and `sleep` are in seconds.
    """

    def __init__(
        self, rate_per_s: float, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._interval_s = 1 / rate_per_s
        self._clock = clock
        self._sleep = sleep
        self._next = -math.inf

    async def turn(self) -> None:
        """Wait for the caller's turn."""
        now = self._clock()
        due = max(self._next, now)
        self._next = due + self._interval_s
        if due > now:
            await self._sleep(due - now)
