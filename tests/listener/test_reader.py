"""Unsigned requests block the event loop for a few milliseconds at most, whatever their bodies are."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Iterator

import pytest

from port_hook_cli.invocations.models import Status
from port_hook_cli.listener.reader import Reader, Reading
from tests.factories import SECRET, an_invocation, signed
from tests.listener.hostile_bodies import hostile_bodies

# Guards against a loop that runs the whole diagnosis, which takes seconds. `make bench` measures the milliseconds.
MOST_S = 0.5
SIZES = [pytest.param(1_000_000, id="1 MB"), pytest.param(4_000_000, id="4 MB", marks=pytest.mark.extended)]


@pytest.fixture(autouse=True)
def _as_in_a_listener() -> Iterator[None]:
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()  # not undone: gc.unfreeze() would also unfreeze what tests/conftest.py froze
    gc.set_threshold(20_000)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


async def read(body: bytes, *, count: int = 1) -> tuple[float, list[Reading]]:
    """Read an unsigned request `count` times concurrently. Return the longest block of the loop, and the results.

    The block is the processor time of this process between two iterations of the loop, so that other load does not
    count.
    """
    reader = Reader(SECRET, tolerance_s=300)
    invocation = an_invocation(body, headers=signed(b"another body"))
    tasks = [asyncio.ensure_future(reader.in_time(invocation, seen=None)) for _ in range(count)]
    longest, last = 0.0, time.process_time()
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.0005)
        now = time.process_time()
        longest, last = max(longest, now - last), now
    reader.close()
    return longest, [task.result() for task in tasks]


async def quietest(body: bytes, *, count: int = 1) -> tuple[float, list[Reading]]:
    """Return the result of `read`, from up to three runs, because other load may disturb a run."""
    longest, readings = await read(body, count=count)
    for _ in range(2):
        if longest > MOST_S:
            longest, readings = await read(body, count=count)
    return longest, readings


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_body_does_not_block_the_event_loop(size: int) -> None:
    for name, body in hostile_bodies(size):
        longest, readings = await quietest(body)
        assert longest < MOST_S, name
        assert readings[0].verdict.status is Status.INVALID, name


async def test_many_hostile_bodies_do_not_block_the_event_loop_and_most_are_not_diagnosed() -> None:
    body = dict(hostile_bodies(100_000))["many numbers"]
    longest, readings = await quietest(body, count=60)
    assert longest < MOST_S
    slugs = [reading.verdict.slugs for reading in readings]
    assert slugs.count(("undiagnosed",)) > 30


async def test_unsigned_document_with_too_many_values_is_not_parsed() -> None:
    cases: list[tuple[int, bool]] = [(8_000, True), (9_000, False)]
    for count, is_read in cases:
        body = b"[" + b"1," * count + b"1]" + b" " * 20_000
        _, (reading,) = await read(body)
        assert (reading.payload.document is not None) is is_read
        assert (reading.payload.problem is None) is is_read
