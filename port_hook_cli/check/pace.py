"""The pace of a check: how fast requests follow each other, how long responses may take, and when time is up."""

from __future__ import annotations

import asyncio
from collections import deque
from statistics import quantiles

from port_hook_cli.check.plan import WITHIN_S, CheckLimits
from port_hook_cli.check.reactions import Probe

TIME_UP = "the check reached its time limit"
LEAST_S = 0.01
_QUICK_S = 0.1
_MOST_A_MINUTE, _MINUTE_S = 100, 60.0
_FEWEST = 4
_PATIENCE = 20


class LeftHandler(Exception):
    """The check ends early. The message is the reason, as a clause."""


class CheckPace:
    """The limits on time and rate, which depend on how quickly the handler responds.

    All times are in seconds: `most_s` for one response at most, and `slowest_s` for the slowest response so far.
    `waits` are the other waits of the check.
    """

    def __init__(self, limits: CheckLimits) -> None:
        self.waits = limits.waits
        self.slowest_s = 0.0
        self.most_s = limits.timeout_s
        self._stretch = max(1.0, limits.within_s / WITHIN_S)
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + limits.within_s
        self._latencies_s: list[float] = []
        self._working_s = 0.0
        self._sent_at = deque[float]()

    @property
    def left_s(self) -> float:
        """The number of seconds that are left for the check."""
        return self._deadline - self._clock()

    def bounded_s(self, wait_s: float) -> float:
        """Return how many seconds to wait: `wait_s`, or the time that is left if it is shorter."""
        return max(0.0, min(wait_s, self.left_s))

    def stretched_s(self, wait_s: float) -> float:
        """Return `wait_s`. A time limit of twice the default doubles it, because the user expects longer work."""
        return wait_s * self._stretch

    def require_time(self) -> None:
        """Raise LeftHandler if time is up, because a wait that ended early proves nothing."""
        if self.left_s <= 0:
            raise LeftHandler(TIME_UP)

    @property
    def is_slow(self) -> bool:
        """Whether a response took so long that independent requests are sent concurrently."""
        return self.slowest_s > self.waits.slow_s

    @property
    def timeout_s(self) -> float:
        """The number of seconds to wait for a response. It is smaller if the handler accepts requests quickly."""
        if not self._working_s:
            return self.most_s
        return min(self.most_s, max(self.waits.least_timeout_s, _PATIENCE * self.slowest_s))

    def record(self, probe: Probe) -> None:
        """Record the time of the response to a request sent alone."""
        latency_s = probe.delivery.latency_ms / 1000
        self._latencies_s.append(latency_s)
        self.slowest_s = max(self.slowest_s, latency_s)
        if probe.is_accepted:  # a handler rejects requests before it works
            self._working_s = max(self._working_s, latency_s)

    async def take_turn(self, count: int = 1) -> None:
        """Wait until the next `count` requests may be sent. A slow handler gets at most 100 requests a minute."""
        self.require_time()
        is_slow = len(self._latencies_s) >= _FEWEST and quantiles(self._latencies_s, n=4)[0] > _QUICK_S
        if is_slow and (over := len(self._sent_at) + count - _MOST_A_MINUTE) > 0:
            pause_s = self._sent_at[over - 1] + _MINUTE_S - self._clock()
            if pause_s > self.left_s:
                raise LeftHandler(TIME_UP)
            await asyncio.sleep(max(0.0, pause_s))
        self._sent_at.extend([self._clock()] * count)
        while len(self._sent_at) > _MOST_A_MINUTE:
            self._sent_at.popleft()
