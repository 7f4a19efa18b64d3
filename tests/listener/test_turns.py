"""`--max-in-flight` and `--in-order`, from a listener on a free port to a real handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from aiohttp import web

from port_hook_cli.captures.store import open_store
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, Serving, listening
from port_hook_cli.listener.turns import Turns
from port_hook_cli.runtime import Runtime
from tests.factories import a_body, a_document
from tests.servers import NO_TLS

ONE, OTHER = "r_AAAAAAAAAAAAAAAA", "r_BBBBBBBBBBBBBBBB"


@dataclass
class Gate(Observer):
    """A handler that holds each request until it is released, and what the listener in front of it shows."""

    arrived: list[str] = field(default_factory=list)
    released: dict[str, asyncio.Event] = field(default_factory=dict)
    shown: list[Exchange] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def exchanged(self, exchange: Exchange) -> None:
        self.shown.append(exchange)

    async def handle(self, request: web.Request) -> web.Response:
        self.arrived.append(request.path[1:])
        self.changed.set()
        await self.released.setdefault(request.path[1:], asyncio.Event()).wait()
        return web.Response(text="ok")

    def release(self, name: str) -> None:
        """Let the handler respond to a request."""
        self.released.setdefault(name, asyncio.Event()).set()

    async def has(self, *names: str) -> None:
        """Wait until the handler has as many requests; they are these, in this order."""
        async with asyncio.timeout(30):
            while len(self.arrived) < len(names):
                self.changed.clear()
                await self.changed.wait()
        assert self.arrived == list(names)


@dataclass
class Sender:
    """Sends requests, one after the other, without waiting for the responses."""

    serving: Serving
    client: httpx.AsyncClient
    received: asyncio.Semaphore
    tasks: list[asyncio.Task[httpx.Response]] = field(default_factory=list)

    async def send(self, name: str, run_id: str | None) -> None:
        """Send a request, and return when it is in the pipeline."""
        body = a_body(a_document(context={"runId": run_id})) if run_id else b"{}"
        self.tasks.append(asyncio.create_task(self.client.post(self.serving.url + name, content=body)))
        await asyncio.wait_for(self.received.acquire(), 10)

    async def statuses(self) -> list[int]:
        return [response.status_code for response in await asyncio.gather(*self.tasks)]


@asynccontextmanager
async def gated(runtime: Runtime, gate: Gate, **policy: Any) -> AsyncIterator[Sender]:
    app = web.Application()
    app.router.add_post("/{name}", gate.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    routes = Routes(default=f"http://127.0.0.1:{runner.addresses[0][1]}")
    plan = ListenPlan(policy=Policy(secret=None, routes=routes, **policy), port=0)
    received = asyncio.Semaphore(0)

    def new_id() -> str:
        received.release()  # the pipeline runs until it waits before the test goes on
        return runtime.new_id()

    try:
        async with (
            listening(plan, replace(runtime, new_id=new_id), gate) as serving,
            httpx.AsyncClient(verify=NO_TLS) as client,
        ):
            yield Sender(serving, client, received)
    finally:
        await runner.cleanup()


async def test_requests_of_one_run_are_forwarded_one_after_the_other_with_in_order(
    runtime: Callable[..., Runtime],
) -> None:
    gate = Gate()
    async with gated(runtime(), gate, in_order=True) as sender:
        for name, run_id in (("a1", ONE), ("a2", ONE), ("a3", ONE), ("b1", OTHER), ("none", None), ("none", None)):
            await sender.send(name, run_id)
        await gate.has("a1", "b1", "none", "none")
        gate.release("a2")
        gate.release("a1")
        await gate.has("a1", "b1", "none", "none", "a2", "a3")
        for name in ("a3", "b1", "none"):
            gate.release(name)
        assert await sender.statuses() == [200] * 6


async def test_requests_of_one_run_are_forwarded_at_once_without_in_order(runtime: Callable[..., Runtime]) -> None:
    gate = Gate()
    async with gated(runtime(), gate) as sender:
        for name in ("a1", "a2"):
            await sender.send(name, ONE)
            gate.release(name)
        assert await sender.statuses() == [200, 200]


async def test_max_in_flight_forwards_the_others_in_order_when_a_response_arrives(
    runtime: Callable[..., Runtime],
) -> None:
    gate, names = Gate(), ["1", "2", "3", "4"]
    async with gated(runtime(), gate, max_in_flight=2) as sender:
        for name in names:
            await sender.send(name, None)
        await gate.has("1", "2")
        assert sender.serving.flow.in_flight == 2
        gate.release("2")
        await gate.has("1", "2", "3")
        gate.release("1")
        await gate.has(*names)
        gate.release("3")
        gate.release("4")
        assert await sender.statuses() == [200] * 4


async def test_requests_that_wait_for_their_run_leave_the_slots_to_others(runtime: Callable[..., Runtime]) -> None:
    gate = Gate()
    async with gated(runtime(), gate, max_in_flight=2, in_order=True) as sender:
        for name, run_id in (("a1", ONE), ("a2", ONE), ("b1", OTHER)):
            await sender.send(name, run_id)
        await gate.has("a1", "b1")
        for name in ("a1", "a2", "b1"):
            gate.release(name)
        assert await sender.statuses() == [200] * 3


async def test_request_that_waits_at_the_end_of_the_listener_is_kept_as_interrupted(
    runtime: Callable[..., Runtime],
) -> None:
    gate, world = Gate(), runtime()
    async with gated(world, gate, max_in_flight=1) as sender:
        await sender.send("1", ONE)
        await sender.send("2", OTHER)
        await gate.has("1")
    await asyncio.gather(*sender.tasks, return_exceptions=True)
    assert gate.arrived == ["1"]
    with open_store(None, world.cwd) as store:
        kept = [store.get(exchange.invocation.id) for exchange in gate.shown]
    errors = {exchange.invocation.target: exchange.delivery and exchange.delivery.error for exchange in kept}
    assert errors == {
        "/1": "the listener was stopped before the handler responded; Port got no response either",
        "/2": "the listener was stopped before the request was forwarded; Port got no response either",
    }


async def test_a_run_whose_requests_are_canceled_is_forgotten() -> None:
    turns, first_is_in = Turns(None, in_order=True), asyncio.Event()

    async def take() -> None:
        async with turns.turn(ONE):
            first_is_in.set()
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(take()) for _ in range(3)]
    await first_is_in.wait()
    assert turns.runs == 1
    for task in reversed(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert turns.runs == 0
