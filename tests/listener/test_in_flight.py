"""Requests without a response yet: which requests observers are told about, and how they end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from port_hook_cli.invocations.models import INTERRUPTED, Capture
from port_hook_cli.invocations.routes import Routes
from tests.factories import an_invocation
from tests.listener.test_pipeline import World, listening

# No request in a test that uses this has to end before it is shown.
SOON_S = 0.05


@dataclass
class Watched(World):
    """A world that records what it is told about requests in flight. `is_told` is set with each."""

    events: list[str] = field(default_factory=list)
    is_told: asyncio.Event = field(default_factory=asyncio.Event)

    def waiting(self, capture: Capture, reason: str) -> None:
        self.events.append(f"{capture.invocation.id} {reason}")
        self.is_told.set()

    def no_longer_waiting(self, capture: Capture) -> None:
        self.events.append(f"{capture.invocation.id} ended")

    def captured(self, capture: Capture) -> None:
        super().captured(capture)
        self.events.append(f"{capture.invocation.id} shown")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://localhost:8000/hook", "waiting for 8000"),
        ("https://handler.example:8443", "waiting for handler.example:8443"),
    ],
)
async def test_observers_are_told_about_a_request_only_after_it_waits_for_a_moment(target: str, reason: str) -> None:
    world = Watched()
    async with listening(world, shown_after_s=0.2, routes=Routes(default=target)) as flow:
        await flow.receive(an_invocation(id="quick"), "c")
        world.hold = asyncio.Event()
        slow = asyncio.ensure_future(flow.receive(an_invocation(id="slow"), "c"))
        await world.is_told.wait()
        world.hold.set()
        await slow
    assert world.events == ["quick shown", f"slow {reason}", "slow ended", "slow shown"]


async def test_request_waiting_for_another_of_its_run_is_shown_as_waiting_for_its_turn() -> None:
    world = Watched(hold=asyncio.Event())
    async with listening(world, shown_after_s=SOON_S) as flow:
        both = [asyncio.ensure_future(flow.receive(an_invocation(id=name), "c")) for name in ("first", "second")]
        while len(world.events) < 2:
            world.is_told.clear()
            await world.is_told.wait()
        assert world.hold is not None
        world.hold.set()
        await asyncio.gather(*both)
    assert world.events[:2] == ["first waiting for h:1", "second waiting for its turn"]
    assert sorted(world.events[2:]) == ["first ended", "first shown", "second ended", "second shown"]


async def test_interrupted_request_shows_how_long_it_was_in_flight() -> None:
    world = Watched(hold=asyncio.Event())
    async with listening(world, shown_after_s=SOON_S) as flow:
        task = asyncio.ensure_future(flow.receive(an_invocation(id="slow"), "c"))
        await world.is_told.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    delivery = world.completed[0].delivery
    assert delivery is not None
    assert (delivery.fault, delivery.latency_ms >= SOON_S * 1000 * 0.9) == (INTERRUPTED, True)
    assert world.shown == world.completed
    assert world.events[-2:] == ["slow ended", "slow shown"]


async def test_request_with_a_delayed_response_is_shown_even_if_the_listener_ends_meanwhile() -> None:
    world = Watched(status=202)
    async with listening(world, shown_after_s=SOON_S, delay_s=60) as flow:
        task = asyncio.ensure_future(flow.receive(an_invocation(id="slow"), "c"))
        await world.is_told.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert world.events == ["slow response delayed (--delay)", "slow shown", "slow ended"]
    (shown,) = world.shown
    assert (shown.delivery is not None and shown.delivery.status, shown.response) == (202, None)
    assert world.notices == ["No response to slow: the listener stopped during --delay."]
