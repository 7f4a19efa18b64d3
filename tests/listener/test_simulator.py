"""Simulated failures, closed connections and delays, from a listener on a free port to its clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.view.capture import capture_lines, compact_line
from port_hook_cli.cli.listen_requests import read_delay
from port_hook_cli.invocations.models import Simulated
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.invocations.view import invocation_event
from port_hook_cli.listener.policy import DelayRange, Policy
from port_hook_cli.listener.serving import ListenPlan, Serving, served
from port_hook_cli.listener.simulator import Simulator
from port_hook_cli.runtime import Runtime
from tests.factories import NOW, SECRET, a_body, a_capture, signed
from tests.receivers import Seen
from tests.servers import NO_TLS, handler


@asynccontextmanager
async def simulating(runtime: Runtime, shown: Seen, **policy: Any) -> AsyncIterator[tuple[Serving, httpx.AsyncClient]]:
    plan = ListenPlan(policy=Policy(**{"secret": None} | policy), port=0)
    runtime = replace(runtime, now=partial(float, NOW))
    async with served(plan, runtime, shown) as serving, httpx.AsyncClient(verify=NO_TLS) as client:
        yield serving, client


async def capture_bytes(serving: Serving, count: int = 1) -> bytes:
    """Send `count` requests on one connection together, and return everything received until it is closed."""
    port = httpx.URL(serving.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}" * count)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_drop_closes_the_connection_without_a_response_after_saving(plain_runtime: Runtime) -> None:
    shown = Seen()
    with handler() as target:
        routes = Routes(default=target.url)
        async with simulating(plain_runtime, shown, routes=routes, drop=True) as (serving, _):
            assert await capture_bytes(serving, 2) == b""
            assert serving.flow.tally.received == 1
        assert target.requests == []
    (capture,) = shown.captures
    assert capture.response is None
    assert capture.simulated == Simulated(failure="drop", dropped=True)
    with open_store(None, plain_runtime.cwd) as store:
        assert store.get(capture.invocation.id).response is None


async def test_rejected_request_is_not_dropped_and_does_not_count_for_fail_first(plain_runtime: Runtime) -> None:
    shown = Seen()
    async with simulating(plain_runtime, shown, secret=SECRET, drop=True, fail_first=1) as (serving, client):
        assert (await client.post(serving.url, content=b"{}")).status_code == 401
        headers = dict(signed(a_body(), timestamp=str(int(NOW))))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(serving.url, content=a_body(), headers=headers)
    assert [capture.rejected for capture in shown.captures] == [True, False]


async def test_dropped_request_is_accepted_again_with_refuse_replays(plain_runtime: Runtime) -> None:
    options = {"secret": SECRET, "drop": True, "fail_first": 1, "refuse_replays": True}
    headers = dict(signed(a_body(), timestamp=str(int(NOW))))
    async with simulating(plain_runtime, Seen(), **options) as (serving, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(serving.url, content=a_body(), headers=headers)
        assert (await client.post(serving.url, content=a_body(), headers=headers)).status_code == 200


async def test_fail_rate_fails_the_same_invocations_with_the_same_seed(plain_runtime: Runtime) -> None:
    async def statuses(seed: int) -> list[int]:
        async with simulating(plain_runtime, Seen(), fail_rate=0.5, seed=seed) as (serving, client):
            return [(await client.post(serving.url, content=b"{}")).status_code for _ in range(20)]

    first = await statuses(1)
    assert set(first) == {200, 500}
    assert await statuses(1) == first
    assert await statuses(2) != first


async def test_response_is_delayed_by_a_time_in_the_range(plain_runtime: Runtime) -> None:
    shown, clock = Seen(), asyncio.get_running_loop().time
    async with simulating(plain_runtime, shown, delay=DelayRange(0.05, 0.1)) as (serving, client):
        started = clock()
        await client.post(serving.url, content=b"{}")
        assert clock() - started >= 0.05
    (capture,) = shown.captures
    assert capture.simulated
    assert 0.05 <= capture.simulated.delay_s <= 0.1
    assert capture.simulated.failure is None


@given(st.integers(), st.integers(0, 5), st.floats(0, 1), st.booleans())
def test_delays_do_not_change_the_failing_invocations(seed: int, first: int, rate: float, drop: bool) -> None:
    options: dict[str, Any] = {"secret": None, "seed": seed, "fail_first": first, "fail_rate": rate, "drop": drop}
    without = Simulator(Policy(**options))
    delayed = Simulator(Policy(**options, delay=DelayRange(1, 2)))
    for _ in range(10):
        one, other = without.decide(may_fail=True), delayed.decide(may_fail=True)
        assert other is not None
        assert other.failure == (one.failure if one else None)
        assert 1 <= other.delay_s <= 2


def test_nothing_is_simulated_without_an_option() -> None:
    assert not Policy(secret=None).simulates
    for options in ({"fail_first": 1}, {"fail_rate": 0.1}, {"drop": True}, {"delay": DelayRange(0, 1)}):
        assert Policy(**{"secret": None} | options).simulates


def test_delay_is_a_number_of_seconds_or_a_range() -> None:
    cases: list[tuple[str, tuple[float, float]]] = [
        ("2", (2, 2)),
        ("2s", (2, 2)),
        ("0.5", (0.5, 0.5)),
        ("2s..5s", (2, 5)),
        ("2..5", (2, 5)),
        ("0..0", (0, 0)),
    ]
    for text, delay in cases:
        assert read_delay(text) == delay


def test_invalid_delay_is_rejected() -> None:
    for text in ("", "x", "-1", "inf", "nan", "5..2", "1..", "..1", "1..2..3", "1..inf", "2m", "1...2m"):
        with pytest.raises(typer.BadParameter, match="seconds"):
            read_delay(text)


def test_output_shows_what_was_simulated() -> None:
    cases: list[tuple[Simulated, str]] = [
        (Simulated(failure="fail-first"), "failure (--fail-first)"),
        (Simulated(failure="fail-rate", delay_s=2.3456), "failure (--fail-rate), delay of 2.35 s (--delay)"),
        (Simulated(failure="drop", dropped=True), "closed connection (--drop)"),
        (Simulated(delay_s=2), "delay of 2.00 s (--delay)"),
    ]
    for simulated, said in cases:
        capture = a_capture(simulated=simulated)
        assert f"simulated {said}" in compact_line(capture).plain
        (line,) = [line.plain for line in capture_lines(capture, app_url=None) if "simulated" in line.plain]
        assert line.split(maxsplit=1) == ["simulated", said]


def test_record_shows_what_was_simulated() -> None:
    simulated = Simulated(failure="fail-rate", dropped=True, delay_s=1.23456)
    record = invocation_event(a_capture(simulated=simulated))
    assert record["simulated"] == {"failure": "fail-rate", "dropped": True, "delay_s": 1.235}
    assert invocation_event(a_capture())["simulated"] is None
