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

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.view.capture import capture_lines
from port_hook_cli.captures.view.compact import compact_line
from port_hook_cli.invocations.models import Simulated
from port_hook_cli.invocations.routes import RouteBy, RouteRule, Routes
from port_hook_cli.invocations.view import invocation_event
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, Serving, served
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


async def test_respond_drop_closes_the_connection_without_a_response_after_saving(plain_runtime: Runtime) -> None:
    shown = Seen()
    async with simulating(plain_runtime, shown, respond=None) as (serving, _):
        assert await capture_bytes(serving, 2) == b""
        assert serving.flow.tally.received == 1
    (capture,) = shown.captures
    assert capture.response is None
    assert capture.simulated == Simulated(failure="drop", dropped=True)
    with open_store(None, plain_runtime.cwd) as store:
        assert store.get(capture.invocation.id).response is None


async def test_respond_drop_forwards_the_requests_that_a_route_takes(plain_runtime: Runtime) -> None:
    shown = Seen()
    with handler() as target:
        routes = Routes(rules=(RouteRule(RouteBy.JQ, '.wanted == "yes"', target.url, "wanted"),))
        async with simulating(plain_runtime, shown, routes=routes, respond=None) as (serving, client):
            assert (await client.post(serving.url, content=b'{"wanted":"yes"}')).status_code == 200
            assert await capture_bytes(serving) == b""
        assert len(target.requests) == 1
    assert [capture.simulated for capture in shown.captures] == [None, Simulated(failure="drop", dropped=True)]


async def test_rejected_request_is_not_dropped_and_does_not_count_for_fail_first(plain_runtime: Runtime) -> None:
    shown = Seen()
    async with simulating(plain_runtime, shown, secret=SECRET, respond=None, fail_first=1) as (serving, client):
        assert (await client.post(serving.url, content=b"{}")).status_code == 401
        headers = dict(signed(a_body(), timestamp=str(int(NOW))))
        assert (await client.post(serving.url, content=a_body(), headers=headers)).status_code == 500
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(serving.url, content=a_body(), headers=headers)
    assert [capture.rejected for capture in shown.captures] == [True, False, False]


async def test_request_sent_again_after_a_closed_connection_is_not_a_replay(plain_runtime: Runtime) -> None:
    shown, headers = Seen(), dict(signed(a_body(), timestamp=str(int(NOW))))
    async with simulating(plain_runtime, shown, secret=SECRET, respond=None) as (serving, client):
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(serving.url, content=a_body(), headers=headers)
    assert [capture.verdict.slugs for capture in shown.captures] == [(), ()]


async def test_response_is_delayed(plain_runtime: Runtime) -> None:
    shown, clock = Seen(), asyncio.get_running_loop().time
    async with simulating(plain_runtime, shown, delay_s=0.05) as (serving, client):
        started = clock()
        await client.post(serving.url, content=b"{}")
        assert clock() - started >= 0.05
    assert [capture.simulated for capture in shown.captures] == [Simulated(delay_s=0.05)]


def test_nothing_is_simulated_without_an_option() -> None:
    assert not Policy(secret=None).simulates
    options: list[dict[str, Any]] = [{"fail_first": 1}, {"respond": None}, {"delay_s": 1}]
    assert all(Policy(secret=None, **each).simulates for each in options)


def test_output_shows_what_was_simulated() -> None:
    slow_failure = Simulated(failure="fail-first", delay_s=2.3456)
    cases = [
        (slow_failure, "failure (--fail-first), delay of 2.35 s (--delay)", "simulated"),
        (Simulated(failure="drop", dropped=True), "closed connection (--respond drop)", "dropped"),
        (Simulated(delay_s=2), "delay of 2.00 s (--delay)", "delayed"),
    ]
    for simulated, said, mark in cases:
        capture = a_capture(simulated=simulated)
        assert f" ({mark})  " in compact_line(capture).plain
        assert f"  simulated {said}  " in next(capture_lines(capture, app_url=None)).plain


def test_record_shows_what_was_simulated() -> None:
    simulated = Simulated(failure="drop", dropped=True, delay_s=1.23456)
    record = invocation_event(a_capture(simulated=simulated))
    assert record["simulated"] == {"failure": "drop", "dropped": True, "delay_s": 1.235}
    assert invocation_event(a_capture())["simulated"] is None
