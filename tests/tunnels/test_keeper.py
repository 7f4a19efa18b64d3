"""The reports of a tunnel's keeper, and when it reopens the tunnel, without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.errors import TunnelError
from port_hook_cli.tunnels.keeper import Keeper
from port_hook_cli.tunnels.protocol import Tunnel
from port_hook_cli.tunnels.report import Connectivity, ProbeResult, TunnelReport, TunnelState
from tests.tunnels.fast_clock import run_fast, with_fast_clock

REACHABLE = ProbeResult(Connectivity.REACHABLE, 12.0)
UNREACHABLE = ProbeResult(Connectivity.UNREACHABLE, None, "no response")
TAKEN = ProbeResult(Connectivity.TAKEN, None, "another server responds there")


class FakeTunnel:
    """A tunnel that the test controls."""

    def __init__(self, url: str = "https://one.example", result: ProbeResult = REACHABLE) -> None:
        self.url = url
        self.result = result
        self.problem = ""
        self.looks = 0
        self.probes: list[tuple[str, str]] = []
        self.probed_three_times = asyncio.Event()
        self.closed = 0
        self.close_problem: Exception | None = None
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def health(self) -> str:
        self.looks += 1
        return self.problem

    async def probe(self, path: str, token: str) -> ProbeResult:
        self.probes.append((path, token))
        if len(self.probes) == 3:
            self.probed_three_times.set()
        return self.result

    async def lost(self) -> str:
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        self.closed += 1
        if self.close_problem:
            raise self.close_problem

    def end(self, reason: str) -> None:
        self._end.set_result(reason)


@dataclass
class Watched:
    """A running keeper, and what it reported."""

    tunnel: FakeTunnel
    reports: asyncio.Queue[TunnelReport] = field(default_factory=asyncio.Queue)
    notices: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    openings: list[str | None] = field(default_factory=list)
    following: list[FakeTunnel | Exception] = field(default_factory=list)
    move_problem: Exception | None = None
    keeping: asyncio.Task[None] | None = None

    async def open(self, before: str | None) -> Tunnel:
        self.openings.append(before)
        found = self.following.pop(0)
        if isinstance(found, Exception):
            raise found
        self.tunnel = found
        return found

    async def move(self, url: str) -> None:
        self.moves.append(url)
        if self.move_problem:
            raise self.move_problem

    def keeper(self, interval_s: float = 0.01, *, is_ours: bool = True) -> Keeper:
        return Keeper(
            self.tunnel,
            self.open if is_ours else None,
            probe_path="/p",
            token="t",
            report=self.reports.put_nowait,
            notice=self.notices.append,
            moved=self.move,
            probe_interval_s=interval_s,
        )

    async def next(self) -> TunnelReport:
        return await asyncio.wait_for(self.reports.get(), 5)

    async def states(self, count: int) -> list[TunnelState]:
        return [(await self.next()).state for _ in range(count)]


def watch(interval_s: float = 0.01, result: ProbeResult = REACHABLE, *, is_ours: bool = True) -> tuple[Watched, Keeper]:
    """Start a keeper. The end of the loop cancels it."""
    watched = Watched(FakeTunnel(result=result))
    keeper = watched.keeper(interval_s, is_ours=is_ours)
    watched.keeping = asyncio.create_task(keeper.keep())
    return watched, keeper


async def working(**options: Any) -> tuple[Watched, Keeper]:
    """Watch a working tunnel."""
    watched, keeper = watch(**options)
    assert await watched.states(1) == [TunnelState.REACHABLE]
    return watched, keeper


@with_fast_clock
async def test_keeper_reports_a_working_tunnel_once() -> None:
    watched, keeper = watch()
    report = await watched.next()
    assert (report.state, report.latency_ms, report.url) == (TunnelState.REACHABLE, 12.0, "https://one.example")
    await asyncio.wait_for(watched.tunnel.probed_three_times.wait(), 5)
    assert watched.reports.empty()
    assert set(watched.tunnel.probes) == {("/p", "t")}
    assert keeper.latest.state is TunnelState.REACHABLE


@with_fast_clock
async def test_keeper_reports_an_unreachable_tunnel_after_two_failed_probes() -> None:
    watched, _ = await working()
    watched.tunnel.result = UNREACHABLE
    report = await watched.next()
    assert (report.state, report.reason) == (TunnelState.UNREACHABLE, "no response")
    watched.tunnel.result = REACHABLE
    assert await watched.states(1) == [TunnelState.REACHABLE]


@with_fast_clock
async def test_keeper_reports_a_change_of_health_immediately_when_probes_are_rare() -> None:
    watched, _ = await working(interval_s=3600)
    watched.tunnel.problem = "it has no connection"
    async with asyncio.timeout(30):
        report = await watched.next()
    assert (report.state, report.reason) == (TunnelState.UNREACHABLE, "it has no connection")
    watched.tunnel.problem = ""
    async with asyncio.timeout(30):
        assert await watched.states(1) == [TunnelState.REACHABLE]


@with_fast_clock
async def test_tiny_interval_does_not_keep_a_core_busy_while_the_tunnel_reports_a_problem() -> None:
    watched, _ = await working(interval_s=0.0001)
    watched.tunnel.problem = "it has no connection"
    assert await watched.states(1) == [TunnelState.UNREACHABLE]
    before = watched.tunnel.looks
    await asyncio.sleep(1)
    assert watched.tunnel.looks - before < 100


@with_fast_clock
async def test_keeper_reopens_a_lost_tunnel_until_it_succeeds() -> None:
    watched, keeper = await working()
    first = watched.tunnel
    watched.following = [TunnelError("not yet"), TunnelError("not yet"), FakeTunnel()]
    first.end("The agent has ended.")
    lost = await watched.next()
    assert (lost.state, lost.reason) == (TunnelState.LOST, "The agent has ended.")
    assert await watched.states(2) == [TunnelState.OPEN, TunnelState.REACHABLE]
    assert first.closed == 1
    assert watched.openings == ["https://one.example"] * 3
    assert watched.moves == []
    assert keeper.lost_count == 1


@with_fast_clock
async def test_keeper_reports_and_announces_a_changed_url() -> None:
    watched, keeper = await working()
    watched.following = [FakeTunnel("https://two.example")]
    watched.tunnel.end("It ended.")
    assert (await watched.next()).state is TunnelState.LOST
    opened = await watched.next()
    assert (opened.url, opened.previous_url) == ("https://two.example", "https://one.example")
    assert await watched.states(1) == [TunnelState.REACHABLE]
    assert watched.moves == ["https://two.example"]
    assert keeper.latest.url == "https://two.example"


@with_fast_clock
async def test_keeper_reopens_a_tunnel_when_another_server_responds_at_its_url() -> None:
    watched, _ = await working()
    watched.following = [FakeTunnel("https://two.example")]
    watched.tunnel.result = TAKEN
    assert await watched.states(3) == [TunnelState.TAKEN, TunnelState.LOST, TunnelState.OPEN]


@with_fast_clock
async def test_keeper_does_not_reopen_a_tunnel_when_it_never_worked() -> None:
    watched, _ = watch(result=TAKEN)
    assert await watched.states(1) == [TunnelState.TAKEN]
    watched.tunnel.result = REACHABLE
    assert await watched.states(1) == [TunnelState.REACHABLE]
    assert watched.openings == []


@with_fast_clock
async def test_keeper_relies_on_the_tunnels_health_without_probes() -> None:
    watched, keeper = watch(interval_s=0)
    watched.tunnel.problem = "it has no connection"
    assert (await watched.next()).state is TunnelState.UNREACHABLE
    watched.tunnel.problem = ""
    assert (await watched.next()).state is TunnelState.OPEN
    assert watched.tunnel.probes == []
    await keeper.close()
    assert watched.tunnel.closed == 1


@with_fast_clock
async def test_keeper_reports_an_unexpected_exception_of_a_provider_and_continues() -> None:
    watched, _ = await working()
    watched.following = [FakeTunnel()]
    watched.tunnel.result = None  # type: ignore[assignment] # a defect in a provider
    lost = await watched.next()
    assert lost.state is TunnelState.LOST
    assert lost.reason.startswith("port-hook cannot check it anymore: AttributeError:")
    assert await watched.states(2) == [TunnelState.OPEN, TunnelState.REACHABLE]


@with_fast_clock
async def test_keeper_reports_each_reason_for_a_failed_reopening_once() -> None:
    watched, _ = await working()
    refusal = TunnelError("The key\n  has changed.", hint="Ask.")
    watched.following = [
        refusal,
        TunnelError("The key has changed.", hint="Ask."),
        OSError("no \x1b fork"),
        FakeTunnel(),
    ]
    watched.tunnel.end("It ended.")
    assert await watched.states(3) == [TunnelState.LOST, TunnelState.OPEN, TunnelState.REACHABLE]
    assert watched.notices == [
        "The tunnel cannot be reopened yet: The key has changed. Ask.",
        r"The tunnel cannot be reopened yet: OSError: no \x1b fork",
    ]


@with_fast_clock
async def test_keeper_watches_a_new_url_when_announcing_it_fails() -> None:
    watched, _ = await working()
    watched.move_problem = KeyError("what")
    watched.following = [FakeTunnel("https://two.example")]
    watched.tunnel.end("It ended.")
    assert await watched.states(3) == [TunnelState.LOST, TunnelState.OPEN, TunnelState.REACHABLE]
    assert watched.notices == ["error: --retarget could not set the new URL in Port: KeyError: 'what'"]


@with_fast_clock
async def test_keeper_replaces_a_lost_tunnel_when_closing_it_fails() -> None:
    watched, _ = await working()
    watched.tunnel.close_problem = OSError("gone")
    watched.following = [FakeTunnel()]
    watched.tunnel.end("It ended.")
    assert await watched.states(2) == [TunnelState.LOST, TunnelState.OPEN]
    assert watched.notices == ["port-hook cannot close the lost tunnel: OSError: gone"]


@with_fast_clock
async def test_keeper_never_reopens_the_users_own_tunnel() -> None:
    watched, _ = await working(is_ours=False)
    watched.tunnel.result = TAKEN
    assert await watched.states(1) == [TunnelState.TAKEN]
    watched.tunnel.result = REACHABLE
    assert await watched.states(1) == [TunnelState.REACHABLE]


class TimedTunnel:
    """A tunnel that ends after `lasts_s` seconds. `choose` returns the result of a probe by its number, from 0."""

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
    """A keeper with tunnels that last `lifetimes_s`, and the times of its reports."""

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

    def keep(self, seconds: float) -> list[float]:
        """Keep the tunnels open for this time, and return the times of the first tunnel's probes."""

        async def run() -> list[float]:
            async with self.keeping() as tunnel:
                await asyncio.sleep(seconds)
                return tunnel.probed_at

        return run_fast(run())

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


def test_pause_before_reopening_doubles_up_to_3_seconds() -> None:
    timeline = Timeline([1.0] * 6 + [None])

    timeline.keep(60)
    for pause_s, most_s in zip(timeline.pauses_s(), (0.2, 0.4, 0.8, 1.6, 3.0, 3.0), strict=True):
        assert most_s / 2 <= pause_s <= most_s


def test_pause_starts_over_when_a_tunnel_lasted_10_seconds() -> None:
    timeline = Timeline([1.0, 1.0, 1.0, 9.9, 10.1, None])

    timeline.keep(60)
    *_, after_9_9_s, after_10_1_s = timeline.pauses_s()
    assert 0.8 <= after_9_9_s <= 1.6
    assert 0.1 <= after_10_1_s <= 0.2


def test_single_failed_probe_is_not_reported_and_the_next_follows_half_a_second_later() -> None:
    timeline = Timeline([None], choose=lambda number: UNREACHABLE if number == 1 else REACHABLE)

    first, failed, again, later = timeline.keep(61)
    assert timeline.states == [TunnelState.REACHABLE]
    assert round(failed - first) == 30
    assert round(again - failed, 1) == 0.5
    assert round(later - again) == 30


def test_working_tunnel_is_reopened_after_a_minute_without_a_successful_probe() -> None:
    timeline = Timeline([None, None], choose=lambda number: UNREACHABLE if number else REACHABLE, interval_s=5)

    timeline.keep(90)
    assert timeline.states[:4] == [
        TunnelState.REACHABLE, TunnelState.UNREACHABLE, TunnelState.LOST, TunnelState.OPEN,
    ]  # fmt: skip
    unreachable_at, lost_at = timeline.reports[1][0], timeline.reports[2][0]
    assert 60 <= lost_at - unreachable_at <= 61


def test_tunnel_stays_open_without_a_time_limit_when_it_never_worked() -> None:
    timeline = Timeline([None], choose=lambda _: UNREACHABLE)

    timeline.keep(600)
    assert timeline.states == [TunnelState.UNREACHABLE]
