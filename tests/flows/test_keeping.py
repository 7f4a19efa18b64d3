"""A tunnel that is watched: what is told of it, and when it is opened anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from port_hook_cli.core.reach import Probing, Reach
from port_hook_cli.core.tunnel_report import TunnelReport, TunnelState
from port_hook_cli.errors import TunnelError
from port_hook_cli.flows.keeping import Keeper, Kept

REACHABLE = Probing(Reach.REACHABLE, 12.0)
UNREACHABLE = Probing(Reach.UNREACHABLE, None, "no answer")
TAKEN = Probing(Reach.TAKEN, None, "somebody else answers there")


class ATunnel:
    """A tunnel whose every word the test chooses."""

    def __init__(self, url: str = "https://one.example", probing: Probing = REACHABLE) -> None:
        self.url = url
        self.probing = probing
        self.words = ""
        self.asked: list[tuple[str, str]] = []
        self.asked_thrice = asyncio.Event()
        self.closed = 0
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def health(self) -> str:
        return self.words

    async def probe(self, path: str, token: str) -> Probing:
        self.asked.append((path, token))
        if len(self.asked) == 3:
            self.asked_thrice.set()
        return self.probing

    async def lost(self) -> str:
        return await asyncio.shield(self._end)

    async def close(self) -> None:
        self.closed += 1

    def end(self, words: str) -> None:
        self._end.set_result(words)


@dataclass
class Watched:
    """A keeper at work, and what it told."""

    tunnel: ATunnel
    reports: asyncio.Queue[TunnelReport] = field(default_factory=asyncio.Queue)
    moves: list[str] = field(default_factory=list)
    openings: list[str | None] = field(default_factory=list)
    following: list[ATunnel | TunnelError] = field(default_factory=list)

    async def open(self, before: str | None) -> Kept:
        self.openings.append(before)
        found = self.following.pop(0)
        if isinstance(found, TunnelError):
            raise found
        self.tunnel = found
        return found

    async def move(self, url: str) -> None:
        self.moves.append(url)

    def keeper(self, interval_s: float = 0.01) -> Keeper:
        return Keeper(
            self.tunnel,
            self.open,
            probe_path="/p",
            token="t",
            report=self.reports.put_nowait,
            moved=self.move,
            probe_interval_s=interval_s,
        )

    async def next(self) -> TunnelReport:
        return await asyncio.wait_for(self.reports.get(), 5)

    async def states(self, count: int) -> list[TunnelState]:
        return [(await self.next()).state for _ in range(count)]


@pytest.fixture
async def watch(request: pytest.FixtureRequest) -> Callable[..., tuple[Watched, Keeper]]:
    def begin(interval_s: float = 0.01, probing: Probing = REACHABLE) -> tuple[Watched, Keeper]:
        watched = Watched(ATunnel(probing=probing))
        keeper = watched.keeper(interval_s)
        task = asyncio.ensure_future(keeper.keep())
        request.addfinalizer(task.cancel)
        return watched, keeper

    return begin


Watch = Callable[..., tuple[Watched, Keeper]]


async def test_a_tunnel_that_works_is_told_of_once(watch: Watch) -> None:
    watched, keeper = watch()
    report = await watched.next()
    assert (report.state, report.latency_ms, report.url) == (TunnelState.REACHABLE, 12.0, "https://one.example")
    await asyncio.wait_for(watched.tunnel.asked_thrice.wait(), 5)
    assert watched.reports.empty()
    assert set(watched.tunnel.asked) == {("/p", "t")}
    assert keeper.latest.state is TunnelState.REACHABLE


async def test_one_probe_that_fails_is_not_believed_and_two_are(watch: Watch) -> None:
    watched, _ = watch()
    assert await watched.states(1) == [TunnelState.REACHABLE]
    watched.tunnel.probing = UNREACHABLE
    report = await watched.next()
    assert (report.state, report.reason) == (TunnelState.UNREACHABLE, "no answer")
    watched.tunnel.probing = REACHABLE
    assert await watched.states(1) == [TunnelState.REACHABLE]


async def test_what_a_tunnel_says_of_itself_is_told_at_once_however_seldom_it_is_asked_through(watch: Watch) -> None:
    watched, _ = watch(interval_s=3600)
    assert await watched.states(1) == [TunnelState.REACHABLE]
    watched.tunnel.words = "it has no connection"
    async with asyncio.timeout(2):
        report = await watched.next()
    assert (report.state, report.reason) == (TunnelState.UNREACHABLE, "it has no connection")
    watched.tunnel.words = ""
    async with asyncio.timeout(2):
        assert await watched.states(1) == [TunnelState.REACHABLE]


async def test_a_lost_tunnel_is_opened_anew_for_as_long_as_it_takes(watch: Watch) -> None:
    watched, keeper = watch()
    assert await watched.states(1) == [TunnelState.REACHABLE]
    first = watched.tunnel
    watched.following = [TunnelError("not yet"), TunnelError("not yet"), ATunnel()]
    first.end("The agent has ended.")
    lost = await watched.next()
    assert (lost.state, lost.reason) == (TunnelState.LOST, "The agent has ended.")
    assert await watched.states(2) == [TunnelState.OPEN, TunnelState.REACHABLE]
    assert first.closed == 1
    assert watched.openings == ["https://one.example"] * 3
    assert watched.moves == []
    assert keeper.lost_count == 1


async def test_a_changed_url_is_told_and_followed(watch: Watch) -> None:
    watched, keeper = watch()
    assert await watched.states(1) == [TunnelState.REACHABLE]
    watched.following = [ATunnel("https://two.example")]
    watched.tunnel.end("It ended.")
    assert (await watched.next()).state is TunnelState.LOST
    opened = await watched.next()
    assert (opened.url, opened.previous_url) == ("https://two.example", "https://one.example")
    assert await watched.states(1) == [TunnelState.REACHABLE]
    assert watched.moves == ["https://two.example"]
    assert keeper.latest.url == "https://two.example"


async def test_a_url_that_somebody_else_answers_at_is_given_up(watch: Watch) -> None:
    watched, _ = watch()
    assert await watched.states(1) == [TunnelState.REACHABLE]
    watched.following = [ATunnel("https://two.example")]
    watched.tunnel.probing = TAKEN
    assert await watched.states(3) == [TunnelState.TAKEN, TunnelState.LOST, TunnelState.OPEN]


async def test_a_tunnel_that_never_worked_is_not_opened_anew_over_and_over(watch: Watch) -> None:
    watched, _ = watch(probing=TAKEN)
    assert await watched.states(1) == [TunnelState.TAKEN]
    watched.tunnel.probing = REACHABLE
    assert await watched.states(1) == [TunnelState.REACHABLE]
    assert watched.openings == []


async def test_without_probes_only_the_tunnel_s_own_word_counts(watch: Watch) -> None:
    watched, keeper = watch(interval_s=0)
    watched.tunnel.words = "it has no connection"
    assert (await watched.next()).state is TunnelState.UNREACHABLE
    watched.tunnel.words = ""
    assert (await watched.next()).state is TunnelState.OPEN
    assert watched.tunnel.asked == []
    await keeper.close()
    assert watched.tunnel.closed == 1
