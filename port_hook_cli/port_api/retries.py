"""How often and for how long a call to Port's API is retried."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from port_hook_cli.errors import PortApiError
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.responses import backoff_s
from port_hook_cli.text.durations import format_duration

MAX_TRIES = 5
MAX_WAIT_S = 30.0


@frozen(kw_only=True)
class FailedAttempt:
    """A failed try of a call.

    `again` means that the call may succeed later. `unclear` means that Port may have processed the call. `wait_s` is
    the pause in seconds that Port asks for. `spent_s` is the duration of the try in seconds if the try timed out.
    """

    problem: PortApiError
    status: int | None = None
    again: bool = True
    unclear: bool = False
    wait_s: float | None = None
    spent_s: float = 0.0


@frozen(kw_only=True)
class RetryPolicy:
    """How calls are retried: each call is tried at most `max_tries` times.

    `on_retry` gets a message before each pause.
    """

    max_tries: int = MAX_TRIES
    on_retry: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def begin(self) -> Retries:
        """Return the retries of a new call."""
        return Retries(self)


class Retries:
    """The retries of one call. Its pauses and its timed-out tries take at most 30 s together."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._left_s = MAX_WAIT_S
        self.tries = 0

    async def wait(self, failure: FailedAttempt) -> None:
        """Pause before the next try. Raises the problem of `failure` if another try is not allowed."""
        if not failure.again:
            raise failure.problem
        self.tries += 1
        self._left_s -= failure.spent_s
        pause_s = failure.wait_s
        if pause_s is None:
            pause_s = backoff_s(self.tries, random.random())  # noqa: S311 - spreads clients, guards nothing
        if self.tries >= self._policy.max_tries or pause_s > self._left_s:
            raise self._final_problem(failure)
        self._left_s -= pause_s
        self._policy.on_retry(f"{failure.problem.message} Trying again in {format_duration(pause_s)}.")
        await self._policy.sleep(pause_s)

    def _final_problem(self, failure: FailedAttempt) -> PortApiError:
        tried = f" (tried {self.tries} times)" if self.tries > 1 else ""
        message = failure.problem.message.removesuffix(".") if tried else failure.problem.message
        stop = "." if tried and message != failure.problem.message else ""
        asked = f"Port asks you to wait {format_duration(failure.wait_s)}." if failure.wait_s else ""
        return PortApiError(f"{message}{tried}{stop}", hint=asked or failure.problem.hint)
