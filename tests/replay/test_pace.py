from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.replay.sending import Pace, parse_rate


@dataclass
class Clock:
    """A clock that only sleeping (and `now += …`) advances."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def turns(pace: Pace, clock: Clock, work_s: list[float]) -> list[float]:
    """The times of the turns, each followed by this many seconds of work."""

    async def take() -> list[float]:
        times = []
        for seconds in work_s:
            await pace.turn()
            times.append(clock.now)
            clock.now += seconds
        return times

    return asyncio.run(take())


def paced(rate_per_s: float, work_s: list[float]) -> list[float]:
    clock = Clock()
    return turns(Pace(rate_per_s, clock=clock.read, sleep=clock.sleep), clock, work_s)


def test_turns_are_evenly_spaced() -> None:
    rows: list[tuple[Any, Any]] = [
        ([0.0] * 5, [100.0, 100.25, 100.5, 100.75, 101.0]),
        ([0.1] * 3, [100.0, 100.25, 100.5]),
        ([2.0, 0.0, 0.0, 0.0], [100.0, 102.0, 102.25, 102.5]),
    ]
    for work_s, times in rows:
        assert paced(4, work_s) == pytest.approx(times)


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 3), min_size=2, max_size=20))
def test_no_two_turns_are_closer_than_the_interval(rate_per_s: float, work_s: list[float]) -> None:
    times = paced(rate_per_s, work_s)
    assert all(after - before >= 1 / rate_per_s - 1e-9 for before, after in pairwise(times))


def test_concurrent_callers_share_one_pace() -> None:
    clock = Clock()
    pace = Pace(2, clock=clock.read, sleep=clock.sleep)

    async def all_at_once() -> None:
        await asyncio.gather(*(pace.turn() for _ in range(4)))

    asyncio.run(all_at_once())
    assert clock.now == 101.5


def test_rate_is_a_number_per_second_or_minute() -> None:
    rows: list[tuple[Any, Any]] = [("50/s", 50), ("50", 50), ("600/m", 10), (".5", 0.5), (" 1/m ", 1 / 60)]
    for text, rate_per_s in rows:
        assert parse_rate(text) == pytest.approx(rate_per_s)


@pytest.mark.parametrize("text", ["", "0/s", "-1/s", "1/h", "1e3", "9" * 400])
def test_invalid_rate_is_rejected(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rate(text)
    assert "50/s" in caught.value.hint
