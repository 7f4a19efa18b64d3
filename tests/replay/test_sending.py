from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.replay.rewriting import ReadyReplay, SentReplay
from port_hook_cli.replay.sending import Series, send_series
from port_hook_cli.replay.sources import ReplaySource
from tests.factories import an_invocation


def a_replay(name: str) -> ReadyReplay:
    request = an_invocation(name.encode())
    return ReadyReplay(ReplaySource(name=name, invocation=request), draft=request, url=f"http://h/{name}")


class Target:
    """Responds with 200 when allowed, and counts the concurrent requests."""

    def __init__(self, *, free: bool = True) -> None:
        self.bodies: list[bytes] = []
        self.waiting = 0
        self.most_waiting = 0
        self.crowded = asyncio.Event()
        self.free = asyncio.Event()
        if free:
            self.free.set()

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        self.bodies.append(invocation.body)
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        if self.waiting == 3:
            self.crowded.set()
        await self.free.wait()
        await asyncio.sleep(0)
        self.waiting -= 1
        return Delivery(url=url, status=200)


def unchanged(invocation: Invocation) -> Invocation:
    return invocation


async def test_every_source_is_sent_n_times_in_rounds() -> None:
    target, sent = Target(), list[tuple[ReadyReplay, SentReplay]]()
    await send_series(
        [a_replay("a"), a_replay("b")],
        Series(times=3),
        target,
        finish=unchanged,
        on_sent=lambda *pair: sent.append(pair),
    )
    assert target.bodies == [b"a", b"b"] * 3
    assert [ready.source.name for ready, _ in sent] == ["a", "b"] * 3
    assert [item.delivery.url for _, item in sent][:2] == ["http://h/a", "http://h/b"]


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3)])
async def test_concurrency_limits_the_requests_in_flight(concurrency: int, most: int) -> None:
    target = Target()
    await send_series(
        [a_replay("a")],
        Series(times=10, concurrency=concurrency),
        target,
        finish=unchanged,
        on_sent=lambda *_: None,
    )
    assert (target.most_waiting, len(target.bodies)) == (most, 10)


async def test_each_request_is_signed_just_before_it_is_sent() -> None:
    count = 0

    def finish(invocation: Invocation) -> Invocation:
        nonlocal count
        count += 1
        assert target.waiting == 0
        return replace(invocation, body=str(count).encode())

    target = Target()
    await send_series([a_replay("a")], Series(times=3), target, finish=finish, on_sent=lambda *_: None)
    assert target.bodies == [b"1", b"2", b"3"]


async def test_series_keeps_its_pace() -> None:
    series = Series(times=5, concurrency=5, rate_per_s=100)
    clock = asyncio.get_running_loop().time
    began = clock()
    await send_series([a_replay("a")], series, Target(), finish=unchanged, on_sent=lambda *_: None)
    assert clock() - began >= 0.039


async def test_exception_in_on_sent_ends_the_series_and_is_raised() -> None:
    target = Target()

    def on_sent(_: ReadyReplay, __: SentReplay) -> None:
        raise BrokenPipeError

    series = Series(times=1000, concurrency=4)
    with pytest.raises(BrokenPipeError):
        await send_series([a_replay("a")], series, target, finish=unchanged, on_sent=on_sent)
    assert len(target.bodies) < 20


async def test_canceled_series_leaves_no_request_running() -> None:
    target = Target(free=False)
    series = Series(times=9, concurrency=3)
    task = asyncio.ensure_future(
        send_series([a_replay("a")], series, target, finish=unchanged, on_sent=lambda *_: None)
    )
    await target.crowded.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
