"""Requests that fail on purpose or by accident: what is counted, retried, and canceled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from port_hook_cli.invocations.models import Capture, Invocation, Status
from tests.factories import an_invocation, signed
from tests.listener.test_pipeline import World, listening, replays
from tests.receivers import FINE, receiving, request


async def test_same_request_is_a_replay_except_after_a_5xx_response() -> None:
    cases: list[tuple[int, bool]] = [(499, True), (500, False), (501, False), (503, False)]
    for status, is_replay in cases:
        world = World(status=status)
        async with listening(world) as flow:
            for _ in range(2):
                await flow.receive(an_invocation(), "c")
        assert replays(world) == [False, is_replay]


async def test_fail_first_fails_exactly_the_given_number_of_invocations() -> None:
    world = World()
    async with listening(world, fail_first=3) as flow:
        responses = [await flow.receive(_numbered(number), "c") for number in range(5)]
    assert [response.status for response in responses] == [500, 500, 500, 200, 200]
    assert len(world.forwarded) == 2
    assert [capture.delivery is None for capture in world.shown] == [True, True, True, False, False]


async def test_request_failed_by_fail_first_is_no_replay_when_it_is_sent_again() -> None:
    world = World()
    async with listening(world, fail_first=1) as flow:
        for _ in range(3):
            await flow.receive(an_invocation(), "c")
    assert replays(world) == [False, False, True]


async def test_each_4xx_or_5xx_response_counts_as_one_handler_failure() -> None:
    cases: list[tuple[int, int]] = [(200, 0), (302, 0), (400, 1), (404, 1), (500, 1)]
    for status, failures in cases:
        world = World(status=status)
        async with listening(world) as flow:
            await flow.receive(an_invocation(), "c")
        assert (flow.tally.handler_failures, flow.tally.verified, flow.tally.received) == (failures, 1, 1)


async def test_allowed_unverified_requests_are_not_counted_as_verified() -> None:
    async with listening(World(), allow_unverified=True) as flow:
        await flow.receive(an_invocation(headers=signed(b"another body")), "c")
        await flow.receive(an_invocation(), "c")
    assert (flow.tally.verified, flow.tally.rejected, flow.tally.received) == (1, 0, 2)


@dataclass
class SlowStore(World):
    """A store that never finishes a save, and reports when a save is canceled."""

    given_up: list[Capture] = field(default_factory=list)

    async def saving(self, *captures: Capture) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up += captures
            raise


async def test_request_interrupted_by_the_end_of_the_listener_is_counted_and_its_save_is_canceled() -> None:
    world = SlowStore(hold=asyncio.Event())
    async with listening(world) as flow:
        task = asyncio.ensure_future(flow.receive(an_invocation(), "c"))
        await world.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [capture.verdict.status for capture in world.given_up] == [Status.VALID]
    assert (flow.tally.handler_failures, flow.tally.verified, flow.in_flight) == (1, 1, 0)


async def test_response_is_sent_without_a_body_when_its_status_allows_none() -> None:
    cases: list[tuple[int, bytes]] = [(204, b"No Content"), (304, b"Not Modified")]
    for status, reason in cases:
        async with receiving() as world:
            world.answer = replace(FINE, status=status, body=b"must not be sent")
            raw = await world.capture(request(b"x"))
        assert raw == b"HTTP/1.1 %d %s\r\nX-Answer: 1\r\nconnection: close\r\n\r\n" % (status, reason)


def _numbered(number: int) -> Invocation:
    body = b'{"number":%d}' % number
    return an_invocation(body, headers=signed(body))
