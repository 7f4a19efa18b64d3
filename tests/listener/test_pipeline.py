"""The life of a request, with a fake store and handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, Invocation, MessageOrigin, Response, Status
from port_hook_cli.invocations.routes import RouteBy, RouteRule, Routes
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.listener.in_flight import SHOWN_AFTER_S
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.pipeline import Pipeline
from port_hook_cli.listener.policy import Policy, PublicAddress
from port_hook_cli.listener.reader import SeenRequest
from port_hook_cli.signatures.verification import signature_key
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_document, an_invocation, signed
from tests.kafka_clusters import a_message


@dataclass
class World(Observer):
    """Store, handler and observer in one. The handler responds with `status`. `saving` can be set to fail."""

    status: int = 200
    problem: StoreError | None = None
    hold: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    saved: list[Capture] = field(default_factory=list)
    completed: list[Capture] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)
    shown: list[Capture] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def save(self, capture: Capture) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.saving(capture))

    def save_together(self, captures: Sequence[Capture]) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.saving(*captures))

    async def saving(self, *captures: Capture) -> None:
        if self.problem:
            raise self.problem
        self.saved += captures

    def complete(self, capture: Capture) -> None:
        self.completed.append(capture)

    async def send(self, request: Invocation, url: str) -> Delivery:
        self.forwarded.append(url)
        self.asked.set()
        if self.hold:
            await self.hold.wait()
        return Delivery(url=url, status=self.status, headers=Headers((("X", "1"),)), body=b"done")

    def captured(self, capture: Capture) -> None:
        self.shown.append(capture)

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Responding(Pipeline):
    """A pipeline that responds to every request."""

    async def receive(self, invocation: Invocation, client: str) -> Response:
        response = await super().receive(invocation, client)
        assert response is not None
        return response


@asynccontextmanager
async def listening(
    world: World,
    seen: Mapping[bytes, SeenRequest] | None = None,
    shown_after_s: float = SHOWN_AFTER_S,
    **policy: Any,
) -> AsyncIterator[Responding]:
    options: dict[str, Any] = {"secret": SECRET, "routes": Routes(default="http://h:1")} | policy
    flow = Responding(
        Policy(**options),
        store=world,
        forwarder=world,
        observer=world,
        public=PublicAddress(),
        seen=seen,
        shown_after_s=shown_after_s,
    )
    try:
        yield flow
    finally:
        await asyncio.sleep(0)  # observers run in the next iteration of the loop
        flow.close()


async def test_valid_invocation_is_saved_forwarded_responded_to_and_completed() -> None:
    world = World(status=202)
    async with listening(world) as flow:
        answer = await flow.receive(an_invocation(), "1.2.3.4")
    assert (answer.status, answer.body, answer.headers.items) == (202, b"done", (("X", "1"),))
    assert world.saved[0].verdict.status is Status.VALID
    assert world.completed[0].delivery is not None
    assert world.shown[0].response == answer
    assert (flow.tally.received, flow.tally.verified, len(flow.tally.waiting)) == (1, 1, 1)


async def test_path_of_a_retargeted_url_names_a_body_without_a_name_and_is_replaced_by_the_handlers_path() -> None:
    routes = Routes(default="http://h:1", rules=(RouteRule(RouteBy.NODE, "w#n", "http://h:2/mine", "w#n"),))
    for target, name, url in (
        ("/hook?a=1", "w#n", "http://h:2/mine?a=1"),
        ("/other", "create_vm", "http://h:1/other"),
        ("/shared", None, None),
        ("/unknown", None, None),
    ):
        world = World()
        async with listening(world, routes=routes, only=frozenset({"w#n", "create_vm"})) as flow:
            flow.retargeted = {"/hook?a=1": "w#n", "/other": "create_vm", "/shared": None}
            await flow.receive(an_invocation(b'{"mine": 1}', target=target), "1.2.3.4")
        assert (world.saved[0].payload.name, world.forwarded[0] if world.forwarded else None) == (name, url)


async def test_concurrent_requests_are_all_shown_in_order_after_their_responses() -> None:
    world, events = World(), list[str]()
    world.captured = lambda capture: events.append(f"shown {capture.invocation.id}")  # type: ignore[method-assign]

    async def request(name: str) -> None:
        await flow.receive(an_invocation(id=name), "c")
        events.append(f"responded {name}")

    async with listening(world, routes=Routes()) as flow:
        await asyncio.gather(*(request(name) for name in "ab"))
        await request("c")
    assert [event for event in events if event.startswith("shown")] == ["shown a", "shown b", "shown c"]
    for name in "abc":
        assert events.index(f"responded {name}") < events.index(f"shown {name}")


async def test_failure_to_show_a_concurrent_request_does_not_hide_others() -> None:
    world, shown, problems = World(), list[str](), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))

    def captured(capture: Capture) -> None:
        if capture.invocation.id == "a":
            raise ValueError(capture.invocation.id)
        shown.append(capture.invocation.id)

    world.captured = captured  # type: ignore[method-assign]
    async with listening(world, routes=Routes()) as flow:
        await asyncio.gather(*(flow.receive(an_invocation(id=name), "c") for name in "abc"))
    assert (shown, list(map(str, problems))) == (["b", "c"], ["a"])


async def test_tally_keeps_the_latest_response_of_a_waiting_run() -> None:
    world = World(status=500)
    async with listening(world) as flow:
        await flow.receive(an_invocation(), "1.2.3.4")
        await asyncio.sleep(0)
        assert dict(flow.tally.waiting) == {RUN_ID: True}
        world.status = 200
        await flow.receive(an_invocation(), "1.2.3.4")
    assert dict(flow.tally.waiting) == {RUN_ID: False}


async def test_pipeline_raises_when_it_cannot_save_a_request() -> None:
    world = World(problem=StoreError("There is no space left.", hint="Free some."))
    async with listening(world) as flow:
        with pytest.raises(StoreError):
            await flow.receive(an_invocation(), "1.2.3.4")
    assert world.notices == [
        "The handler at http://h:1/ got a request, but port-hook cannot save it.",
        "Responded with 500 to an unsaved request: There is no space left. Free some.",
    ]
    assert (flow.tally.rejected, flow.tally.unsaved) == (0, 1)


async def test_tally_has_the_latest_1_000_waiting_runs() -> None:
    runs = [f"r_{number:016d}" for number in range(1_001)]
    async with listening(World(), secret=None, routes=Routes()) as flow:
        for run_id in runs:
            await flow.receive(an_invocation(a_body(a_document(context={"runId": run_id}))), "c")
    assert list(flow.tally.waiting) == runs[1:]


def sent_at(received_at: float, *, ahead_s: float) -> Invocation:
    """Return the same request, received at `received_at` and signed by a clock `ahead_s` ahead at NOW."""
    headers = signed(a_body(), timestamp=str(int(NOW + ahead_s)))
    return an_invocation(received_at=received_at, headers=headers)


def replays(world: World) -> list[bool]:
    """Return for each saved request whether it is a replay."""
    return ["replayed" in capture.verdict.slugs for capture in world.saved]


async def test_repeated_signature_is_a_replay_while_its_timestamp_is_within_the_tolerance() -> None:
    for ahead_s in (-299, 0, 150, 300):
        world = World()
        async with listening(world) as flow:
            for at in (NOW, NOW + 1, NOW + 300 + ahead_s):
                await flow.receive(sent_at(at, ahead_s=ahead_s), "c")
        assert replays(world) == [False, True, True]
        assert (flow.tally.verified, flow.tally.rejected) == (3, 0)


async def test_repeats_do_not_extend_how_long_a_signature_is_remembered() -> None:
    world = World()
    async with listening(world, tolerance_s=300) as flow:
        for at in (NOW, NOW + 200, NOW + 300):
            await flow.receive(sent_at(at, ahead_s=0), "c")
        await flow.receive(sent_at(NOW + 301, ahead_s=0), "c")
    assert replays(world) == [False, True, True, False]


async def test_repeats_do_not_evict_other_signatures() -> None:
    keys = [signature_key(an_invocation().headers), *(b"%032d" % number for number in range(9_998))]
    world, other = World(), an_invocation(b"{}", headers=signed(b"{}"))
    async with listening(world, {key: SeenRequest(NOW + 600, NOW) for key in keys if key}) as flow:
        for request in (*[other] * 4, an_invocation()):
            await flow.receive(request, "c")
    assert replays(world) == [False, True, True, True, True]


async def test_oldest_signature_is_forgotten_when_10_000_newer_ones_are_remembered() -> None:
    oldest, newer, latest = (an_invocation(body, headers=signed(body)) for body in (b"[1]", b"[2]", b"[3]"))
    keys = [signature_key(oldest.headers), *(b"%032d" % number for number in range(9_998))]
    world = World()
    async with listening(world, {key: SeenRequest(NOW + 600, NOW) for key in keys if key}) as flow:
        for request in (newer, oldest, latest, latest, newer, oldest):
            await flow.receive(request, "c")
    assert replays(world) == [False, True, False, True, True, False]


async def test_replay_is_found_when_an_empty_signature_precedes_the_real_one() -> None:
    world = World()
    doubled = Headers((("x-port-signature", ""), *signed(a_body())))
    async with listening(world) as flow:
        await flow.receive(an_invocation(), "c")
        await flow.receive(an_invocation(headers=doubled), "c")
    assert replays(world) == [False, True]


async def test_cause_says_what_an_earlier_request_or_another_secret_proves() -> None:
    first, later, other = an_invocation(), str(int(NOW) + 1), Secret("the-other-secret")
    signature = first.headers.get("x-port-signature") or ""
    sent = {
        "body-changed": (first.body.replace(b'"cpu":2', b'"cpu":64'), first.headers),
        "timestamp-differs": (first.body, Headers((("x-port-signature", signature), ("x-port-timestamp", later)))),
        "wrong-secret": (first.body, signed(first.body, secret=other)),
        "secret-or-body": (first.body, signed(first.body, secret=Secret("an-unknown-secret"))),
    }
    world = World()
    async with listening(world, other_secrets=(other,)) as flow:
        await flow.receive(first, "c")
        statuses = [(await flow.receive(an_invocation(body, headers=its), "c")).status for body, its in sent.values()]
    assert statuses == [401] * len(sent)
    assert [capture.verdict.slugs[0] for capture in world.shown[1:]] == list(sent)
    words = f"This signature belongs to {first.id[:8]}, whose body had payload.properties.cpu 2, not 64."
    assert world.shown[1].verdict.causes[0].explanation == words


async def test_signature_of_an_earlier_session_does_not_prove_a_changed_body() -> None:
    request, world = an_invocation(), World()
    key = signature_key(request.headers)
    assert key is not None
    async with listening(world, {key: SeenRequest(NOW + 600, NOW)}, secret=Secret("another-secret")) as flow:
        await flow.receive(request, "c")
    assert world.shown[0].verdict.slugs == ("secret-or-body",)


async def test_message_signed_after_the_time_of_its_record_blames_the_record() -> None:
    cases: list[bytes | None] = [None, b"{}"]
    for body in cases:
        value = a_message(at=NOW)
        origin = MessageOrigin("org.runs", 0, 1, int(NOW * 1000) - 3_600_000)
        message = an_invocation(body or value, headers=message_headers(value), origin=origin, received_at=NOW)
        world = World()
        async with listening(world) as flow:
            await flow.receive(message, "c")
        assert "so the record's time is incorrect" in world.shown[0].verdict.causes[-1].explanation


async def test_rejected_signatures_are_not_remembered() -> None:
    world = World()
    async with listening(world) as flow:
        tampered = an_invocation(a_body() + b" ", headers=signed(a_body(a_document(other=1))))
        for request in (an_invocation(b"[1]", headers=signed(a_body())), tampered, an_invocation()):
            await flow.receive(request, "c")
    assert replays(world) == [False] * 3


async def test_second_of_two_concurrent_requests_with_one_signature_is_a_replay() -> None:
    world = World(hold=asyncio.Event())
    async with listening(world) as flow:
        requests = [asyncio.ensure_future(flow.receive(an_invocation(), "c"))]
        await world.asked.wait()
        requests.append(asyncio.ensure_future(flow.receive(an_invocation(), "c")))
        assert world.hold is not None
        world.hold.set()
        await asyncio.gather(*requests)
    assert replays(world) == [False, True]


async def test_second_of_two_concurrent_large_requests_with_one_signature_is_a_replay() -> None:
    for size in (20_000, 2_000_000):
        body = a_body(a_document(filler="x" * size))
        world = World()
        async with listening(world) as flow:
            await asyncio.gather(*(flow.receive(an_invocation(body), "c") for _ in range(2)))
        assert sorted(replays(world)) == [False, True]


async def test_valid_request_does_not_wait_for_the_diagnosis_of_invalid_ones() -> None:
    world = World()
    rubbish = an_invocation(b'{"a":[' + b"[1.5]," * 20_000 + b"1]}", headers=signed(b"{}"))
    body = a_body(a_document(filler="x" * 100_000))
    async with listening(world) as flow:
        slow = [asyncio.ensure_future(flow.receive(rubbish, "c")) for _ in range(30)]
        await asyncio.sleep(0)
        assert (await flow.receive(an_invocation(body), "c")).status == 200
        assert not all(task.done() for task in slow)
        answers = await asyncio.gather(*slow)
    assert {answer.status for answer in answers} == {401}


async def test_missing_signature_is_reported_as_missing_for_many_concurrent_requests() -> None:
    world = World()
    unsigned = an_invocation(a_body(a_document(filler="x" * 20_000)), headers=Headers())
    async with listening(world) as flow:
        await asyncio.gather(*(flow.receive(unsigned, "c") for _ in range(40)))
    assert {capture.verdict.status for capture in world.shown} == {Status.MISSING}


async def test_canceled_request_is_shown_and_saved_as_interrupted() -> None:
    world = World(hold=asyncio.Event())
    async with listening(world) as flow:
        task = asyncio.ensure_future(flow.receive(an_invocation(), "c"))
        await world.asked.wait()
        assert flow.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    for capture in (world.shown[0], world.completed[0]):
        assert capture.response is None
        assert capture.delivery is not None
        assert capture.delivery.fault == "interrupted"


async def test_waiting_request_is_not_forwarded_when_it_cannot_be_saved() -> None:
    world = World(hold=asyncio.Event())
    assert world.hold
    async with listening(world) as flow:
        first = asyncio.ensure_future(flow.receive(an_invocation(id="a"), "c"))
        await world.asked.wait()
        world.problem = StoreError("The disk is full.")
        second = asyncio.ensure_future(flow.receive(an_invocation(id="b"), "c"))
        await asyncio.sleep(0)
        assert flow.turns.waiting == 1
        world.hold.set()
        assert (await first).status == 200
        with pytest.raises(StoreError):
            await second
    assert len(world.forwarded) == 1


async def test_run_of_an_ignored_action_is_not_counted_as_waiting() -> None:
    world = World()
    async with listening(world, only=frozenset({"another"})) as flow:
        assert (await flow.receive(an_invocation(), "c")).status == 404
    assert (world.forwarded, world.shown, list(flow.tally.waiting)) == ([], [], [])
    assert flow.tally.skipped == 1
    assert world.notices[0].endswith("  create_vm CREATE  valid  -> 404, rejected by --only")


def a_kafka_message(*, sent_at: float = NOW) -> Invocation:
    """Return a message signed at NOW, sent to Kafka at `sent_at`, and received a day later."""
    value = a_message(at=NOW)
    origin = MessageOrigin("org.runs", 0, 1, int(sent_at * 1000))
    return an_invocation(value, headers=message_headers(value), origin=origin, received_at=NOW + 86_400)


async def test_signed_time_of_a_message_is_compared_with_when_it_was_sent() -> None:
    world = World()
    async with listening(world) as flow:
        await flow.receive(a_kafka_message(sent_at=NOW + 1), "unknown")
        await flow.receive(a_kafka_message(sent_at=NOW + 3_600), "unknown")
    assert [capture.verdict.status for capture in world.saved] == [Status.VALID, Status.STALE]
    assert world.saved[0].verdict.signed_form == "kafka"
    assert world.forwarded == ["http://h:1/"]


async def test_node_run_is_not_counted_as_waiting_after_a_5xx() -> None:
    cases: list[dict[str, bool]] = [{}, {"synchronized": False}]
    for flag in cases:
        body = a_body({"runId": "wfnr_0123456789abcdef", **flag})
        async with listening(World(status=500)) as flow:
            await flow.receive(an_invocation(body), "c")
        assert (flow.tally.verified, list(flow.tally.waiting)) == (1, [])


def a_numbered_message(number: int, **fields: Any) -> Invocation:
    value = a_message({**a_document(), "n": number, **fields}, at=NOW)
    origin = MessageOrigin("org.runs", 0, number, int(NOW * 1000))
    return an_invocation(value, headers=message_headers(value), origin=origin)


async def test_grouped_messages_are_saved_and_shown_like_single_messages() -> None:
    cases: list[dict[str, Any]] = [{}, {"only": {"another"}}, {"secret": None}]
    for policy in cases:
        unsigned = an_invocation(b"{}", headers=message_headers(b"{}"), origin=MessageOrigin("org.runs", 0, 9))
        messages = [
            *map(a_numbered_message, range(3)),
            unsigned,
            a_numbered_message(1),
            a_numbered_message(4, action="b"),
        ]
        alone, together = World(), World()
        async with listening(alone, routes=Routes(), **policy) as flow:
            for message in messages:
                await flow.receive(message, "unknown")
        async with listening(together, routes=Routes(), **policy) as group_flow:
            group = group_flow.new_group()
            assert group is not None
            assert all(map(group.add, messages))
            assert (together.saved, together.shown) == ([], [])
            await group.save()
        assert together.saved == alone.saved
        assert together.shown == alone.shown
        assert group_flow.tally == flow.tally


async def test_grouped_messages_are_left_to_their_source_when_they_cannot_be_saved() -> None:
    world = World(problem=StoreError("There is no space left."))
    async with listening(world, routes=Routes()) as flow:
        first, second = flow.new_group(), flow.new_group()
        assert first is not None
        assert second is not None
        assert all(map(first.add, map(a_numbered_message, range(2))))
        with pytest.raises(StoreError):
            await first.save()
        world.problem = None
        assert all(map(second.add, map(a_numbered_message, range(2))))
        await second.save()
    assert (world.notices, len(world.saved), flow.tally.received) == ([], 2, 2)
    assert [capture.verdict.slugs for capture in world.saved] == [(), ()]  # the second attempt is not a replay


async def test_message_is_not_grouped_when_its_verification_takes_long() -> None:
    value = a_message(at=NOW, secret=Secret("another"))
    origin = MessageOrigin("org.runs", 0, 1, int(NOW * 1000))
    signed_otherwise = an_invocation(value, headers=message_headers(value), origin=origin)
    async with listening(World(), routes=Routes()) as flow:
        group = flow.new_group()
        assert group is not None
        assert not group.add(signed_otherwise)
        assert not group.add(a_numbered_message(1, filler="x" * 20_000))
        await group.save()
        assert flow.tally.received == 0


async def test_messages_are_not_grouped_when_they_may_need_a_handler_or_simulation() -> None:
    cases: list[dict[str, Any]] = [{"routes": Routes(default="http://h:1")}, {"respond": None}]
    for policy in cases:
        async with listening(World(), **{"routes": Routes()} | policy) as flow:
            assert flow.new_group() is None


async def test_messages_are_not_grouped_during_a_pause() -> None:
    async with listening(World(), routes=Routes()) as flow:
        flow.turns.pause()
        assert flow.new_group() is None
        flow.turns.resume()
        assert flow.new_group() is not None


async def test_message_sent_again_after_an_error_response_is_not_a_replay() -> None:
    world = World()
    async with listening(world, routes=Routes(), respond=Response(status=503)) as flow:
        for _ in range(2):
            group = flow.new_group()
            assert group is not None
            assert group.add(a_numbered_message(1))
            await group.save()
    assert [capture.verdict.slugs for capture in world.saved] == [(), ()]


async def test_message_is_left_to_its_source_when_it_cannot_be_saved() -> None:
    world = World(problem=StoreError("There is no space left."))
    async with listening(world, routes=Routes()) as flow:
        with pytest.raises(StoreError):
            await flow.receive(a_kafka_message(), "unknown")
        world.problem = None
        await flow.receive(a_kafka_message(), "unknown")
    assert world.notices == []  # the source reports it once, however often it retries
    assert (flow.tally.received, flow.tally.rejected) == (1, 0)
    assert world.saved[0].verdict.slugs == ()  # the second attempt is not a replay
