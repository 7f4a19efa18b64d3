"""The total time of the retries of a call."""

from __future__ import annotations

import pytest

from port_hook_cli.errors import PortApiError
from port_hook_cli.port_api.retries import FailedAttempt, RetryPolicy

PROBLEM = PortApiError("Port is busy.", hint="wait")


class Waits:
    """The retries of a call. Records pauses and notes without waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.notes: list[str] = []
        self._retries = RetryPolicy(sleep=self._sleep, on_retry=self.notes.append).begin()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def fail(self, *, wait_s: float | None = None, spent_s: float = 0.0) -> None:
        await self._retries.wait(FailedAttempt(problem=PROBLEM, wait_s=wait_s, spent_s=spent_s))


async def test_pauses_of_a_call_total_at_most_30_seconds() -> None:
    waits = Waits()
    await waits.fail(wait_s=20)
    await waits.fail(wait_s=10)
    with pytest.raises(PortApiError) as caught:
        await waits.fail(wait_s=1)
    assert waits.pauses == [20, 10]
    assert waits.notes == ["Port is busy. Trying again in 20 s.", "Port is busy. Trying again in 10 s."]
    assert (caught.value.message, caught.value.hint) == (
        "Port is busy (tried 3 times).",
        "Port asks you to wait 1 s.",
    )


async def test_timed_out_attempts_count_toward_the_30_seconds() -> None:
    waits = Waits()
    await waits.fail(spent_s=15)
    with pytest.raises(PortApiError):
        await waits.fail(spent_s=15)
    assert len(waits.pauses) == 1


async def test_error_has_no_attempt_count_after_a_single_attempt() -> None:
    waits = Waits()
    with pytest.raises(PortApiError) as caught:
        await waits.fail(wait_s=31)
    assert (caught.value.message, waits.pauses) == ("Port is busy.", [])
