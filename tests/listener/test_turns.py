"""`--max-in-flight`, the order of requests and pauses, from a listener on a free port to a real handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Capture, Response
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import DRAIN_S, ListenPlan, Serving, served
from port_hook_cli.listener.turns import ManualResponse, Turn, Turns
from port_hook_cli.runtime import Runtime
from tests.factories import SECRET, a_body, a_document, now_signed
from tests.servers import NO_TLS

# The time after which a half-close no longer counts as part of its request.
NOT_WITH_ITS_REQUEST_S = 0.2
ONE, OTHER = "r_AAAAAAAAAAAAAAAA", "r_BBBBBBBBBBBBBBBB"


@dataclass
class Gate(Observer):
    """A handler that holds each request until it is released, and the output of the listener in front of it."""

    arrived: list[str] = field(default_factory=list)
    released: dict[str, asyncio.Event] = field(default_factory=dict)
    shown: list[Capture] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def captured(self, capture: Capture) -> None:
        self.shown.append(capture)
        self.changed.set()

    def notice(self, text: str) -> None:
        self.told.append(text)

    async def handle(self, request: web.Request) -> web.Response:
        self.arrived.append(request.path[1:])
        self.changed.set()
        await self.released.setdefault(request.path[1:], asyncio.Event()).wait()
        return web.Response(text="ok")

    def release(self, name: str) -> None:
        """Let the handler respond to a request."""
        self.released.setdefault(name, asyncio.Event()).set()

    async def has(self, *names: str) -> None:
        """Wait until the handler has exactly these requests, in this order."""
        await self._until(lambda: len(self.arrived) >= len(names))
        assert self.arrived == list(names)

    async def has_shown(self, count: int) -> None:
        """Wait until the listener has shown so many captures."""
        await self._until(lambda: len(self.shown) >= count)

    async def _until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not happened():
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Sender:
    """Sends requests, one after the other, without waiting for the responses."""

    serving: Serving
    client: httpx.AsyncClient
    received: asyncio.Semaphore
    tasks: list[asyncio.Task[httpx.Response]] = field(default_factory=list)

    async def send(self, name: str, run_id: str | None, **headers: str) -> None:
        """Send a request, and return when it is in the pipeline."""
        body = a_body(a_document(context={"runId": run_id})) if run_id else b"{}"
        post = self.client.post(self.serving.url + name, content=body, headers=headers)
        self.tasks.append(asyncio.create_task(post))
        await asyncio.wait_for(self.received.acquire(), 10)

    async def statuses(self) -> list[int]:
        return [response.status_code for response in await asyncio.gather(*self.tasks)]


@asynccontextmanager
async def gated(runtime: Runtime, gate: Gate, *, drain_s: float = DRAIN_S, **policy: Any) -> AsyncIterator[Sender]:
    app = web.Application()
    app.router.add_post("/{name}", gate.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    routes = Routes(default=f"http://127.0.0.1:{runner.addresses[0][1]}")
    plan = ListenPlan(policy=Policy(**{"secret": None, "routes": routes, **policy}), port=0, drain_s=drain_s)
    received = asyncio.Semaphore(0)

    def new_id() -> str:
        received.release()  # the pipeline runs until it waits before the test goes on
        return runtime.new_id()

    try:
        async with (
            httpx.AsyncClient(verify=NO_TLS) as client,
            served(plan, replace(runtime, new_id=new_id), gate) as serving,
        ):
            yield Sender(serving, client, received)
    finally:
        await runner.cleanup()


async def test_requests_of_one_run_are_forwarded_one_after_the_other(plain_runtime: Runtime) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate) as sender:
        for name, run_id in (("a1", ONE), ("a2", ONE), ("a3", ONE), ("b1", OTHER), ("none", None), ("none", None)):
            await sender.send(name, run_id)
        await gate.has("a1", "b1", "none", "none")
        gate.release("a2")
        gate.release("a1")
        await gate.has("a1", "b1", "none", "none", "a2", "a3")
        for name in ("a3", "b1", "none"):
            gate.release(name)
        assert await sender.statuses() == [200] * 6


async def test_max_in_flight_forwards_the_others_in_order_when_a_response_arrives(plain_runtime: Runtime) -> None:
    gate, names = Gate(), ["1", "2", "3", "4"]
    async with gated(plain_runtime, gate, max_in_flight=2) as sender:
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


async def test_requests_waiting_for_their_run_leave_the_slots_to_others(plain_runtime: Runtime) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate, max_in_flight=2) as sender:
        for name, run_id in (("a1", ONE), ("a2", ONE), ("b1", OTHER)):
            await sender.send(name, run_id)
        await gate.has("a1", "b1")
        for name in ("a1", "a2", "b1"):
            gate.release(name)
        assert await sender.statuses() == [200] * 3


async def test_waiting_request_is_saved_as_interrupted_at_the_end_of_the_listener(plain_runtime: Runtime) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate, drain_s=0, max_in_flight=1) as sender:
        await sender.send("1", ONE)
        await sender.send("2", OTHER)
        await gate.has("1")
    await asyncio.gather(*sender.tasks, return_exceptions=True)
    assert gate.arrived == ["1"]
    with open_store(None, plain_runtime.cwd) as store:
        kept = [store.get(capture.invocation.id) for capture in gate.shown]
    errors = {capture.invocation.target: capture.delivery and capture.delivery.error for capture in kept}
    assert errors == {
        "/1": "the listener stopped before the handler responded, so Port got no response",
        "/2": "the listener stopped before the request was forwarded, so Port got no response",
    }


async def test_waiting_request_is_saved_and_not_forwarded_when_its_sender_disconnects(
    plain_runtime: Runtime,
) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate) as sender:
        for name in ("a1", "a2", "a3"):
            await sender.send(name, ONE)
        await gate.has("a1")
        await asyncio.sleep(NOT_WITH_ITS_REQUEST_S)
        sender.tasks.pop(1).cancel()
        await gate.has_shown(1)
        gate.release("a1")
        gate.release("a3")
        await gate.has("a1", "a3")
        assert await sender.statuses() == [200, 200]
    with open_store(None, plain_runtime.cwd) as store:
        kept = store.get(gate.shown[0].invocation.id)
    assert (kept.invocation.target, kept.response) == ("/a2", None)
    assert kept.delivery
    assert kept.delivery.error == "the sender disconnected before the request was forwarded"


async def test_client_keeps_its_turn_when_it_half_closes_right_after_its_request(plain_runtime: Runtime) -> None:
    gate, body = Gate(), a_body(a_document(context={"runId": ONE}))
    async with gated(plain_runtime, gate) as sender:
        await sender.send("a1", ONE)
        parts = urlsplit(sender.serving.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"POST /a2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await asyncio.wait_for(sender.received.acquire(), 30)
        writer.write_eof()
        gate.release("a1")
        gate.release("a2")
        assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 200 ")
        writer.close()
        assert await sender.statuses() == [200]


async def test_held_requests_are_saved_and_forwarded_in_order_of_arrival_when_the_pause_ends(
    plain_runtime: Runtime,
) -> None:
    gate = Gate()
    names = ["a1", "b1", "none", "a2"]
    for name in names:
        gate.release(name)
    async with gated(plain_runtime, gate) as sender:
        turns = sender.serving.flow.turns
        turns.pause()
        for name, run_id in zip(names, (ONE, OTHER, None, ONE), strict=True):
            await sender.send(name, run_id)
        assert (turns.waiting, gate.arrived) == (4, [])
        assert [text[text.rindex("(") :] for text in gate.told if "Holding" in text] == [
            f"({count} held). Press p to release them." for count in (1, 2, 3, 4)
        ]
        await until_saved(plain_runtime, 4)
        assert turns.resume() == 4
        assert await sender.statuses() == [200] * 4
    assert sorted(gate.arrived[:3]) == ["a1", "b1", "none"]
    assert gate.arrived[3] == "a2"


async def test_pause_holds_responses_without_a_handler_but_not_rejections(
    plain_runtime: Runtime,
) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate, routes=Routes(), secret=SECRET) as sender:
        turns = sender.serving.flow.turns
        turns.pause()
        await sender.send("refused", ONE)
        assert await sender.statuses() == [401]
        fields = now_signed(a_body(a_document(context={"runId": ONE})))
        await sender.send("held", ONE, **dict(fields.items[1:]))
        assert (turns.waiting, sender.tasks[1].done()) == (1, False)
        assert turns.resume() == 1
        assert await sender.statuses() == [401, 200]


async def test_pause_holds_a_simulated_failure(plain_runtime: Runtime) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate, respond=None, routes=Routes()) as sender:
        sender.serving.flow.turns.pause()
        await sender.send("dropped", ONE)
        assert sender.serving.flow.turns.waiting == 1
        sender.serving.flow.turns.resume()
        with pytest.raises(httpx.RemoteProtocolError):
            await sender.tasks[0]
    assert (gate.arrived, gate.shown[0].response) == ([], None)


async def test_held_requests_get_no_response_when_the_listener_ends(
    plain_runtime: Runtime,
) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate) as sender:
        sender.serving.flow.turns.pause()
        for name, run_id in (("a1", ONE), ("a2", ONE), ("none", None)):
            await sender.send(name, run_id)
    failed = await asyncio.gather(*sender.tasks, return_exceptions=True)
    assert {type(error) for error in failed} == {httpx.RemoteProtocolError}
    assert gate.arrived == []
    assert {capture.delivery and capture.delivery.error for capture in gate.shown} == {
        "the listener stopped before the request was forwarded, so Port got no response"
    }
    assert len(gate.shown) == 3


async def test_held_request_without_a_handler_is_reported_when_its_sender_disconnects(plain_runtime: Runtime) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate, routes=Routes()) as sender:
        sender.serving.flow.turns.pause()
        await sender.send("a1", ONE)
        await asyncio.sleep(NOT_WITH_ITS_REQUEST_S)
        sender.tasks.pop().cancel()
        await gate.has_shown(1)
    (told,) = [text for text in gate.told if "No response" in text]
    assert told.endswith(": the sender disconnected before the request was forwarded.")
    with open_store(None, plain_runtime.cwd) as store:
        assert store.get("last").response is None


async def until_saved(runtime: Runtime, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with open_store(None, runtime.cwd) as store:
                if len(list(store.select(limit=10))) == count:
                    return
            await asyncio.sleep(0.01)  # no event reports it


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from(["a", "b", None])),
        st.tuples(st.sampled_from(["end", "leave", "pass", "answer", "answer later"]), st.integers(0, 9)),
        st.tuples(st.sampled_from(["pause", "resume", "hold"]), st.none()),
    ),
    max_size=40,
)


LATER_ANSWER_BEHIND_ANOTHER = [*[("take", "a")] * 3, ("pause", None), ("answer later", 1)]


@given(STEPS, st.sampled_from([None, 1, 2]))
@example(LATER_ANSWER_BEHIND_ANOTHER, None)
def test_turns_preserve_the_order_of_runs_and_the_limit_and_lose_no_request(
    steps: list[Any], limit: int | None
) -> None:
    async def play() -> None:
        turns, taken, answered = Turns(limit), list[Turn](), set[Turn]()
        for step, value in [*steps, ("resume", None)]:
            if step in {"pass", "answer", "answer later"}:
                decide(turns, taken, step, value, answered)
            else:
                take_step(turns, taken, step, value)
            check(turns, taken, limit)
        while taken:
            take_step(turns, taken, "end", first_to_end(taken, answered))
            check(turns, taken, limit)
        assert (turns.waiting, turns.runs) == (0, 0)

    asyncio.run(play())


async def test_request_let_pass_is_called_when_the_sender_of_an_earlier_request_of_its_run_leaves() -> None:
    turns = Turns(None)
    turns.pause()
    first, second = turns.take(ONE), turns.take(ONE)
    assert turns.let_pass(second) is False
    first.give_up()
    assert turns.is_held(first) is False  # a response would not reach the sender
    turns.end(first)
    assert second.called is not None
    assert second.called.done()
    assert first.called is not None
    assert first.called.exception() is not None
    turns.end(second)
    assert (turns.waiting, turns.runs) == (0, 0)


def take_step(turns: Turns, taken: list[Turn], step: str, value: Any) -> None:
    if step in {"pause", "resume"}:
        getattr(turns, step)()
    elif step in {"take", "hold"}:
        taken.append(turns.take(value) if step == "take" else turns.hold())
    elif value < len(taken):
        turn = taken.pop(value)
        if step == "leave":
            turn.give_up()
        turns.end(turn)
        if turn.called and turn.called.done():
            turn.called.exception()  # asyncio complains about unread exceptions


def decide(turns: Turns, taken: list[Turn], step: str, number: int, answered: set[Turn]) -> None:
    """Let a held turn pass, or respond to it by hand."""
    if number >= len(taken) or taken[number] in answered or not turns.is_held(taken[number]):
        return
    held, turn = turns.held, taken[number]
    if step == "pass":
        turns.let_pass(turn)
    else:
        turns.respond(turn, ManualResponse(Response(status=200), 600 if step == "answer later" else 0))
        answered.add(turn)
        if step == "answer":
            turns.end(taken.pop(number))
    assert (turns.held, turns.is_held(turn)) == (held - 1, False)


def first_to_end(taken: list[Turn], answered: set[Turn]) -> int:
    return next(number for number, turn in enumerate(taken) if is_on(turn) or turn in answered)


def check(turns: Turns, taken: list[Turn], limit: int | None) -> None:
    on = [turn for turn in taken if is_on(turn) and turn.forwards]
    assert limit is None or len(on) <= limit
    assert turns.waiting == sum(not is_on(turn) for turn in taken)
    for run_id in ("a", "b"):
        of_run = [turn for turn in taken if turn.run_id == run_id]
        assert sum(map(is_on, of_run)) <= 1
        assert not any(map(is_on, of_run[1:]))


def is_on(turn: Turn) -> bool:
    return turn.called is None or turn.called.done()
