"""Held requests: let pass, responded to by hand, abandoned by their senders, and interrupted by the listener's end."""

from __future__ import annotations

import asyncio
import re
import time

import httpx
import pytest

from port_hook_cli.captures.documents.capture_file import read_capture, to_capture
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.captures.view.capture import capture_lines
from port_hook_cli.captures.view.compact import compact_line
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, MessageOrigin, Payload, Response, Simulated
from port_hook_cli.invocations.view import invocation_event
from port_hook_cli.listener.holding import MOST_SHOWN, Holding, NotHeld
from port_hook_cli.listener.in_flight import InFlight, RequestsInFlight
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.turns import ManualResponse, Turns
from port_hook_cli.runtime import Runtime
from tests.factories import a_capture, an_invocation
from tests.listener.test_turns import NOT_WITH_ITS_REQUEST_S, ONE, OTHER, Gate, gated

BUSY = Response(status=503, headers=Headers((("content-type", "text/plain"),)), body=b"later")


def held_ids(holding: Holding) -> list[str]:
    return [each.id for each in holding.held()]


async def test_request_let_pass_reaches_the_handler_while_the_others_stay_held(plain_runtime: Runtime) -> None:
    gate = Gate()
    gate.release("b1")
    async with gated(plain_runtime, gate) as sender:
        holding = sender.serving.flow.holding
        changes: list[int] = []
        holding.changed = lambda: changes.append(holding.count)
        holding.hold(True)
        for name, run_id in (("a1", ONE), ("b1", OTHER), ("a2", ONE)):
            await sender.send(name, run_id)
        first, second, third = held_ids(holding)
        assert holding.let_pass(second)
        await gate.has("b1")
        assert (await sender.tasks[1]).text == "ok"
        assert held_ids(holding) == [first, third]
        assert not holding.let_pass(third)  # its run waits for a1
        assert held_ids(holding) == [first]
        gate.release("a1")
        gate.release("a2")
        holding.let_pass(first)
        assert await sender.statuses() == [200] * 3
        assert holding.is_paused
        await sender.send("late", None)
        assert holding.count == 1
        gate.release("late")
        holding.toggle()
        assert await sender.statuses() == [200] * 4
    assert gate.arrived == ["b1", "a1", "a2", "late"]
    assert changes[:4] == [0, 1, 2, 3]
    assert [text for text in gate.told if text.startswith("Letting")][1].endswith(
        " (1 held). It waits for an earlier request of the same run, or for --max-in-flight."
    )


async def test_sender_gets_exactly_the_manual_response_and_the_store_shows_it(plain_runtime: Runtime) -> None:
    gate = Gate()
    gate.release("2")
    async with gated(plain_runtime, gate, fail_first=0) as sender:
        holding = sender.serving.flow.holding
        holding.toggle()
        await sender.send("1", ONE)
        await sender.send("2", ONE)
        first, second = held_ids(holding)
        holding.respond(first, ManualResponse(BUSY))
        response = await sender.tasks[0]
        assert (response.status_code, response.headers["content-type"], response.text) == (503, "text/plain", "later")
        with pytest.raises(NotHeld):
            holding.let_pass(first)
        assert holding.let_pass(second)  # the manual response ended the turn of the run's first request
        assert (await sender.tasks[1]).status_code == 200
        await gate.has_shown(2)
        (shown, other) = gate.shown
    assert gate.arrived == ["2"]
    assert (shown.simulated, shown.delivery, other.simulated) == (Simulated(manual=True), None, None)
    assert re.search(r"unchecked  503 +-  \S+ \(by hand\)  ", compact_line(shown).plain)
    assert any(text.startswith("Responding to ") and text.endswith(" by hand with 503 (1 held).") for text in gate.told)
    with open_store(None, plain_runtime.cwd) as store:
        kept = store.get(first)
    assert (kept.simulated, kept.response) == (Simulated(manual=True), BUSY)


async def test_delayed_manual_response_is_sent_after_its_delay_even_if_the_pause_ends(plain_runtime: Runtime) -> None:
    gate = Gate()
    gate.release("2")
    async with gated(plain_runtime, gate) as sender:
        holding = sender.serving.flow.holding
        holding.toggle()
        for name in ("1", "2"):
            await sender.send(name, ONE)
        started = time.monotonic()
        holding.respond(held_ids(holding)[0], ManualResponse(BUSY, 0.3))
        assert [each.manual for each in holding.held()] == [ManualResponse(BUSY, 0.3), None]
        holding.toggle()
        assert [each.manual for each in holding.held()] == [ManualResponse(BUSY, 0.3)]
        assert await sender.statuses() == [503, 200]
        assert time.monotonic() - started >= 0.3
        assert holding.held() == []
        await gate.has_shown(2)
    assert "Released 1 held request." in gate.told
    assert gate.shown[0].simulated == Simulated(manual=True, delay_s=0.3)


async def test_option_delay_is_not_added_to_a_manual_response(plain_runtime: Runtime) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate, delay_s=60) as sender:
        holding = sender.serving.flow.holding
        holding.toggle()
        await sender.send("1", None)
        holding.respond(held_ids(holding)[0], ManualResponse(BUSY))
        assert await sender.statuses() == [503]


@pytest.mark.parametrize("delay_s", [None, 600.0])
async def test_request_is_no_longer_held_when_its_sender_disconnects(
    plain_runtime: Runtime, delay_s: float | None
) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate) as sender:
        holding = sender.serving.flow.holding
        holding.toggle()
        await sender.send("1", ONE)
        if delay_s:
            holding.respond(held_ids(holding)[0], ManualResponse(BUSY, delay_s))
        await asyncio.sleep(NOT_WITH_ITS_REQUEST_S)
        sender.tasks.pop().cancel()
        await gate.has_shown(1)
        assert holding.held() == []
    delivery = gate.shown[0].delivery
    assert delivery
    event = "the manual response was sent" if delay_s else "the request was forwarded"
    assert (delivery.fault, delivery.error) == ("interrupted", f"the sender disconnected before {event}")
    assert gate.shown[0].simulated is None


async def test_end_of_the_listener_interrupts_a_delayed_manual_response_even_after_the_pause(
    plain_runtime: Runtime,
) -> None:
    gate = Gate()
    async with gated(plain_runtime, gate) as sender:
        holding = sender.serving.flow.holding
        holding.toggle()
        await sender.send("1", ONE)
        holding.respond(held_ids(holding)[0], ManualResponse(BUSY, 600))
        holding.toggle()
        assert (holding.count, holding.unanswered) == (0, 1)
    (failed,) = await asyncio.gather(*sender.tasks, return_exceptions=True)
    assert isinstance(failed, httpx.RemoteProtocolError)
    delivery = gate.shown[0].delivery
    assert delivery
    assert delivery.error == "the listener stopped before the manual response was due, so Port got no response"


class Told(Observer):
    """What an observer is told about waiting requests."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.shown = asyncio.Event()

    def waiting(self, capture: Capture, reason: str) -> None:
        self.reasons.append(reason)
        self.shown.set()


async def test_terminal_shows_held_and_then_the_users_decision() -> None:
    told = Told()
    turns, requests = Turns(None), RequestsInFlight(told, 0.01)
    holding = Holding(turns, requests, told)
    holding.toggle()
    request, turn = requests.begin(a_capture()), turns.take(None)
    holding.begin(request, turn)
    await told.shown.wait()
    holding.respond(request.capture.invocation.id, ManualResponse(BUSY, 600))
    assert told.reasons == ["held", "responded by hand, delayed"]
    holding.end(request)
    turns.end(turn)
    requests.end(request)


async def test_list_of_held_requests_is_limited_and_a_message_cannot_get_a_manual_response() -> None:
    turns = Turns(None)
    holding = Holding(turns, RequestsInFlight(Told()), Told())
    holding.toggle()
    origin = MessageOrigin("topic", 0, 1)
    for number in range(MOST_SHOWN + 1):
        capture = a_capture(an_invocation(id=f"{number:012x}", origin=origin))
        holding.begin(InFlight(capture, 0, is_delayed=False), turns.take(None))
    assert (holding.count, len(holding.held())) == (MOST_SHOWN + 1, MOST_SHOWN)
    with pytest.raises(UsageError, match="Kafka"):
        holding.respond(f"{0:012x}", ManualResponse(BUSY))
    with pytest.raises(NotHeld):
        holding.let_pass("unknown")


async def test_listed_fields_of_a_held_request_are_short_even_with_a_long_run_id() -> None:
    turns = Turns(None)
    holding = Holding(turns, RequestsInFlight(Told()), Told())
    holding.toggle()
    capture = a_capture(payload=Payload(run_id="r" * 1_000_000))
    holding.begin(InFlight(capture, 0, is_delayed=False), turns.take(None))
    (held,) = holding.held()
    assert len(held.run_id or "") <= 200


def test_output_and_records_show_a_manual_response() -> None:
    cases: list[tuple[Simulated, str]] = [
        (Simulated(manual=True), "by hand"),
        (Simulated(manual=True, delay_s=2.5), "by hand, after 2.5 s"),
    ]
    for simulated, said in cases:
        capture = a_capture(simulated=simulated)
        assert " (by hand)  " in compact_line(capture).plain
        assert f"  responded {said}  " in next(capture_lines(capture, app_url=None)).plain
        assert invocation_event(capture)["simulated"]["manual"] is True
        assert read_capture(to_capture(capture)).simulated == simulated
