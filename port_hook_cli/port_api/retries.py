"""How often and how long a call to Port's API is tried again."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from port_hook_cli.errors import PortApiError
from port_hook_cli.port_api.responses import backoff_s

MOST_TRIES = 5
LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """A try that failed. `unclear`: Port may have processed the call anyway; `wait_s`: the pause it asks for.

    `spent_s` is how many seconds the try took if it timed out.
    """

    problem: PortApiError
    status: int | None = None
    again: bool = True
    unclear: bool = False
    wait_s: float | None = None
    spent_s: float = 0.0


class Retries:
    """The pauses of one call: at most 5 tries, and at most 30 s of pauses and timed-out tries together."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]], on_retry: Callable[[str], None]) -> None:
        self._sleep = sleep
        self._on_retry = on_retry
        self._left_s = LONGEST_WAIT_S
        self.tries = 0

    async def wait(self, failure: FailedAttempt) -> None:
        """Pause before the next try; raises the failure's problem when there is no sense in one or no time left."""
        if not failure.again:
            raise failure.problem
        self.tries += 1
        self._left_s -= failure.spent_s
        pause_s = failure.wait_s
        if pause_s is None:
            pause_s = backoff_s(self.tries, random.random())  # noqa: S311 - spreads clients, guards nothing
        if self.tries >= MOST_TRIES or pause_s > self._left_s:
            raise self._given_up(failure)
        self._left_s -= pause_s
        self._on_retry(f"{failure.problem.message} Trying again in {pause_s:.1f} s.")
        await self._sleep(pause_s)

    def _given_up(self, failure: FailedAttempt) -> PortApiError:
        tried = f" (tried {self.tries} times)" if self.tries > 1 else ""
        asked = f"Port asks to wait {failure.wait_s:.0f} s." if failure.wait_s else ""
        return PortApiError(f"{failure.problem.message}{tried}", hint=asked or failure.problem.hint)
