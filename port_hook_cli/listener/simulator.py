"""Simulates failing invocations and delayed responses. The same seed repeats the same simulation."""

from __future__ import annotations

import random

from port_hook_cli.invocations.models import Simulated
from port_hook_cli.listener.policy import Policy


class Simulator:
    """Simulates the failures and delays that a listener's options configure."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._failures_left = policy.fail_first
        # Failures and delays use separate sequences, so that failures stay the same when delays are added.
        self._failing = random.Random(f"failures {policy.seed}")  # noqa: S311 - repeatable, not secret
        self._delaying = random.Random(f"delays {policy.seed}")  # noqa: S311 - repeatable, not secret

    def decide(self, *, may_fail: bool) -> Simulated | None:
        """Return the simulation for the next request, or None. Only requests that `may_fail` count."""
        failure = self._failure() if may_fail else None
        delay_s = self._delaying.uniform(self._policy.delay.least_s, self._policy.delay.most_s)
        if failure is None and not delay_s:
            return None
        return Simulated(
            failure=failure,
            failures_left=self._failures_left,
            dropped=bool(failure) and self._policy.drop,
            delay_s=delay_s,
        )

    def _failure(self) -> str | None:
        """Return the option that makes the next invocation fail, or None."""
        if self._failures_left > 0:
            self._failures_left -= 1
            return "fail-first"
        if self._policy.fail_rate and self._failing.random() < self._policy.fail_rate:
            return "fail-rate"
        is_alone = not self._policy.fail_first and not self._policy.fail_rate
        return "drop" if self._policy.drop and is_alone else None
