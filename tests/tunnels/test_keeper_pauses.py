"""When a tunnel is probed and reopened, to the second; no test waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from port_hook_cli.tunnels.keeper import Keeper
from port_hook_cli.tunnels.protocol import Tunnel
from port_hook_cli.tunnels.report import Connectivity, ProbeResult, TunnelReport, TunnelState
from tests.tunnels.fast_clock import run_fast

REACHABLE = ProbeResult(Connectivity.REACHABLE, 12.0)
UNREACHABLE = ProbeResult(Connectivity.UNREACHABLE, None, "no response")


class TimedTunnel:
    """A tunnel that ends after `lasts_s` seconds. `choose` returns the result of the probe with a number, from 0."""

    url = "https://one.example"

    def __init__(self, lasts_s: float | None, choose: Callable[[int], ProbeResult]) -> None:
        self._lasts_s = lasts_s
        self._choose = choose
        self.probed_at: list[float] = []

    def health(self) -> str:
        return ""

    async def probe(self, path: str, token: str) -> ProbeResult:
        self.probed_at.append(asyncio.get_running_loop().time())
        return self._choose(len(self.probed_at) - 1)

    async def lost(self) -> str:
        await asyncio.sleep(self._lasts_s or 10**6)
        return "It ended."

    async def close(self) -> None:
        pass


@dataclass
class Timeline:
    """A keeper whose tunnels last as long as `lifetimes_s` say, and the moments of its reports."""

    lifetimes_s: list[float | None]
    choose: Callable[[int], ProbeResult] = lambda _: REACHABLE
    interval_s: float = 30.0
    reports: list[tuple[float, TunnelState]] = field(default_factory=list)

    async def open(self, _: str | None) -> Tunnel:
        return TimedTunnel(self.lifetimes_s.pop(0), self.choose)

    def note(self, report: TunnelReport) -> None:
        self.reports.append((asyncio.get_running_loop().time(), report.state))

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[TimedTunnel]:
        first = TimedTunnel(self.lifetimes_s.pop(0), self.choose)
        keeper = Keeper(
            first, self.open, probe_path="/p", token="t", report=self.note, notice=print, moved=_ignore,
            probe_interval_s=self.interval_s,
        )  # fmt: skip
        task = asyncio.create_task(keeper.keep())
        yield first
        task.cancel()

    def pauses_s(self) -> list[float]:
        """Return how long each lost tunnel was away."""
        lost = [at for at, state in self.reports if state is TunnelState.LOST]
        opened = [at for at, state in self.reports if state is TunnelState.OPEN]
        return [after - before for before, after in zip(lost, opened, strict=True)]

    @property
    def states(self) -> list[TunnelState]:
        return [state for _, state in self.reports]


async def _ignore(_: str) -> None:
    pass


def test_the_pause_before_reopening_doubles_up_to_3_seconds() -> None:
    timeline = Timeline([1.0] * 6 + [None])

    async def run() -> None:
        async with timeline.keeping():
            await asyncio.sleep(60)

    run_fast(run())
    for pause_s, most_s in zip(timeline.pauses_s(), (0.2, 0.4, 0.8, 1.6, 3.0, 3.0), strict=True):
        assert most_s / 2 <= pause_s <= most_s


def test_the_pause_starts_over_after_a_tunnel_that_lasted_10_seconds() -> None:
    timeline = Timeline([1.0, 1.0, 1.0, 9.9, 10.1, None])

    async def run() -> None:
        async with timeline.keeping():
            await asyncio.sleep(60)

    run_fast(run())
    *_, after_9_9_s, after_10_1_s = timeline.pauses_s()
    assert 0.8 <= after_9_9_s <= 1.6
    assert 0.1 <= after_10_1_s <= 0.2


def test_a_single_failed_probe_is_not_reported_and_the_next_comes_half_a_second_later() -> None:
    timeline = Timeline([None], choose=lambda number: UNREACHABLE if number == 1 else REACHABLE)

    async def run() -> list[float]:
        async with timeline.keeping() as tunnel:
            await asyncio.sleep(61)
            return tunnel.probed_at

    first, failed, again, later = run_fast(run())
    assert timeline.states == [TunnelState.REACHABLE]
    assert round(failed - first) == 30
    assert round(again - failed, 1) == 0.5
    assert round(later - again) == 30


def test_a_second_failed_probe_is_reported() -> None:
    timeline = Timeline([None], choose=lambda number: UNREACHABLE if number in {1, 2} else REACHABLE)

    async def run() -> None:
        async with timeline.keeping():
            await asyncio.sleep(40)

    run_fast(run())
    assert timeline.states == [TunnelState.REACHABLE, TunnelState.UNREACHABLE, TunnelState.REACHABLE]


def test_a_tunnel_that_worked_is_reopened_after_a_minute_without_a_good_probe() -> None:
    timeline = Timeline([None, None], choose=lambda number: UNREACHABLE if number else REACHABLE, interval_s=5)

    async def run() -> None:
        async with timeline.keeping():
            await asyncio.sleep(90)

    run_fast(run())
    assert timeline.states[:4] == [
        TunnelState.REACHABLE, TunnelState.UNREACHABLE, TunnelState.LOST, TunnelState.OPEN,
    ]  # fmt: skip
    unreachable_at, lost_at = timeline.reports[1][0], timeline.reports[2][0]
    assert 60 <= lost_at - unreachable_at <= 61


def test_tunnel_that_never_worked_is_kept_without_a_time_limit() -> None:
    timeline = Timeline([None], choose=lambda _: UNREACHABLE)

    async def run() -> None:
        async with timeline.keeping():
            await asyncio.sleep(600)

    run_fast(run())
    assert timeline.states == [TunnelState.UNREACHABLE]
