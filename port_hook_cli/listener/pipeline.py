"""The life of one request: verify, save, forward or reject, respond, and show it to the observers.

Port never gets a response to an unsaved request. The pipeline saves and forwards the request concurrently, and sends
the response after both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.forwarding import forwarded_headers, relayed_headers
from port_hook_cli.invocations.models import (
    DROP,
    FAIL_FIRST,
    INTERRUPTED,
    Capture,
    Delivery,
    Invocation,
    Payload,
    Response,
    Simulated,
    Status,
    Verdict,
)
from port_hook_cli.invocations.routes import RouteBy
from port_hook_cli.invocations.targets import join_target
from port_hook_cli.listener import responses
from port_hook_cli.listener.holding import Holding
from port_hook_cli.listener.in_flight import RESPONDED, SHOWN_AFTER_S, InFlight, RequestsInFlight
from port_hook_cli.listener.observers import VERIFIED, Observer
from port_hook_cli.listener.policy import MOST_WAITING_RUNS, Policy, PublicAddress, Tally
from port_hook_cli.listener.reader import Reader, SeenRequest
from port_hook_cli.listener.turns import ManualResponse, SenderLeft, Turn, Turns
from port_hook_cli.listener.view import not_wanted_line
from port_hook_cli.runs.fate import OPEN_FATES, run_fate

_FAILED = 500
_HALF_CLOSE_S = 0.1


@dataclass(slots=True)
class RouteTime:
    """How many seconds the jq routes of one request may still take: more than jq's own limit for one expression."""

    left_s: float = 6.0


IsTrue: TypeAlias = Callable[[str, Any, RouteTime], Awaitable[bool]]
"""Evaluates the jq expression of a route for a body. Never raises."""


class Saving(Protocol):
    """The parts of the store that a listener needs."""

    def save(self, capture: Capture) -> asyncio.Future[None]:
        """Start to save `capture`. The returned future completes with the commit, and raises StoreError if it failed.

        The store may save only the beginning of a rejected request's body.
        """

    def save_together(self, captures: Sequence[Capture]) -> asyncio.Future[None]:
        """Start to save several captures in one commit. The returned future works like the result of `save`."""

    def complete(self, capture: Capture) -> None:
        """Add the delivery and the response to a saved capture, without waiting."""


class Forwarding(Protocol):
    """The client that sends requests to the user's handler, and never raises an exception."""

    async def send(self, request: Invocation, url: str) -> Delivery:
        """Send `request` to `url` and return the outcome."""


class Pipeline:
    """Handles a listener's requests from arrival to response. One instance serves one event loop.

    Observers learn about a request in flight after `shown_after_s` seconds. `retargeted` contains the paths and queries
    that retargeted actions and nodes have in Port, with the name of each, or None if several have the same.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        store: Saving,
        forwarder: Forwarding,
        observer: Observer,
        public: PublicAddress,
        seen: Mapping[bytes, SeenRequest] | None = None,
        is_true: IsTrue | None = None,
        shown_after_s: float = SHOWN_AFTER_S,
    ) -> None:
        self.policy = policy
        self._simulates = policy.simulates
        self.retargeted: Mapping[str, str | None] = {}
        self.tally = Tally()
        self.in_flight = 0
        self._store = store
        self._forwarder = forwarder
        self._observer = observer
        self._public = public
        self._is_true = is_true
        self._requests = RequestsInFlight(observer, shown_after_s)
        self.turns = Turns(policy.max_in_flight)
        self.holding = Holding(self.turns, self._requests, observer)
        self._queued: dict[str, Turn] = {}
        self._reader = Reader(policy.secret, tolerance_s=policy.tolerance_s, seen=seen, others=policy.other_secrets)
        self._failures_left = policy.fail_first
        self._responded: list[tuple[Capture, Response | None]] = []

    async def receive(self, invocation: Invocation, client: str) -> Response | None:
        """Return the response to `invocation` from the address `client`.

        Raises StoreError if the request cannot be saved. None means that the connection must be closed without a
        response.
        """
        verdict, payload = await self._reader.read(invocation)
        if self.retargeted:
            payload = payload.called(self.retargeted.get(invocation.target))
        self.tally.received += 1
        refusal = self._refusal(verdict)
        is_wanted = refusal is None and self._is_wanted(payload)
        simulated = self._simulated(payload, is_wanted=is_wanted) if self._simulates else None
        response = refusal or self._own_response(payload, simulated, is_wanted=is_wanted)
        forwards = response is None and not (simulated is not None and simulated.dropped)
        takes_turn = forwards or (is_wanted and self.turns.is_paused)
        capture = Capture(
            invocation=invocation,
            verdict=verdict,
            payload=payload,
            response=None if takes_turn else response,
            rejected=refusal is not None,
            simulated=simulated,
        )
        try:
            if takes_turn:
                turn = self.turns.take(payload.run_id) if forwards else self.turns.hold()
                capture, response = await self._serve(capture, turn, client, response)
            else:
                await self._store.save(capture)
        except StoreError as error:
            self._unsaved(capture, error)
            raise
        if response is None or response.status >= _FAILED:
            self._reader.forget(invocation)
        if (simulated := capture.simulated) is not None and simulated.delay_s and not simulated.manual:
            await self._delay(capture, simulated.delay_s)
        if not self._responded:
            # The event loop first sends the responses of this iteration. One callback for all responses costs less.
            asyncio.get_running_loop().call_soon(self._observe_answered)
        self._responded.append((capture, response))
        return response

    def new_group(self) -> MessageGroup | None:
        """Return a group for messages. Return None if messages may now need a handler, a turn or a simulation."""
        if self.policy.routes.targets or self._simulates or self.turns.is_paused:
            return None
        return MessageGroup(self)

    def read_message(self, invocation: Invocation) -> Capture | None:
        """Return the capture of a message that needs no handler, or None if its verification takes long."""
        reading = self._reader.read_now(invocation)
        if reading is None:
            return None
        verdict, payload = reading
        self.tally.received += 1
        refusal = self._refusal(verdict)
        is_wanted = refusal is None and self._is_wanted(payload)
        return Capture(
            invocation=invocation,
            verdict=verdict,
            payload=payload,
            response=refusal or self._own_response(payload, None, is_wanted=is_wanted),
            rejected=refusal is not None,
        )

    async def save_messages(self, captures: Sequence[Capture]) -> None:
        """Save the captures of messages in one commit, and pass them on to the observers.

        Raises StoreError if nothing was saved.
        """
        try:
            await self._store.save_together(captures)
        except StoreError as error:
            for capture in captures:
                self._unsaved(capture, error)
            raise
        for capture in captures:
            if capture.response is None or capture.response.status >= _FAILED:
                self._reader.forget(capture.invocation)
        if not self._responded:
            asyncio.get_running_loop().call_soon(self._observe_answered)
        self._responded += [(capture, capture.response) for capture in captures]

    def leave(self, invocation_id: str) -> None:
        """Remove a waiting request from the queue, because its sender has disconnected.

        A request that has just started to wait stays in the queue, because its sender may only have half-closed the
        connection.
        """
        if turn := self._queued.get(invocation_id):
            turn.give_up()

    def close(self) -> None:
        """Stop the threads of the reader."""
        self._reader.close()

    def _observe_answered(self) -> None:
        """Pass the captures that have responses on to the observer.

        If an observer raises an error for one capture, report the error to the event loop and continue with the next.
        """
        responded, self._responded = self._responded, []
        for capture, response in responded:
            try:
                self._observe(capture, response)
            except Exception as error:  # noqa: BLE001 - an error must not stop the others
                context = {"message": "a capture was not completed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def _observe(self, capture: Capture, response: Response | None) -> None:
        if capture.delivery is not None:
            self._store.complete(capture)
        if capture.rejected:
            self.tally.rejected += 1
        else:
            self.tally.verified += capture.verdict.status in VERIFIED
        if capture.rejected or self._is_wanted(capture.payload):
            if not capture.rejected:
                self._count(capture, response)
            self._observer.captured(capture)
        else:
            self._observer.notice(not_wanted_line(capture))

    def _own_response(self, payload: Payload, simulated: Simulated | None, *, is_wanted: bool) -> Response | None:
        """Return the response to a request that needs no handler, or None if the request must be forwarded."""
        if not is_wanted:
            self.tally.skipped += 1
            return responses.NOT_WANTED
        if simulated is not None and simulated.failure == FAIL_FIRST:
            return responses.made_to_fail(simulated.failures_left)
        return None if self.policy.routes.may_take(payload) else self.policy.respond

    def _simulated(self, payload: Payload, *, is_wanted: bool) -> Simulated | None:
        policy = self.policy
        simulated = Simulated(delay_s=policy.delay_s) if policy.delay_s else None
        if not is_wanted:
            return simulated
        if self._failures_left > 0:
            self._failures_left -= 1
            return Simulated(failure=FAIL_FIRST, failures_left=self._failures_left, delay_s=policy.delay_s)
        return _dropped(simulated) if policy.respond is None and not policy.routes.may_take(payload) else simulated

    def _refusal(self, verdict: Verdict) -> Response | None:
        policy = self.policy
        if verdict.status is Status.UNCHECKED or policy.allow_unverified:
            return None
        accepted = responses.is_accepted(verdict, strict=policy.strict)
        return None if accepted else responses.rejected(verdict)

    async def _serve(
        self, capture: Capture, turn: Turn, client: str, response: Response | None
    ) -> tuple[Capture, Response | None]:
        """Forward a request in its turn, while the store commits it. Raises StoreError if the commit failed.

        A turn without forwarding ends with `response`, or with the user's manual response.
        """
        saved = self._store.save(capture)
        request = self._requests.begin(capture)
        delivery: Delivery | None = None
        manual: ManualResponse | None = None
        try:
            if turn.called is not None:
                manual = await self._wait(turn, request, saved)
            if turn.forwards and manual is None:
                delivery = await self._deliver(request, saved, client)
        except SenderLeft:
            await saved
            event = "the manual response was sent" if request.stage == RESPONDED else "the request was forwarded"
            return self._cut_off(request, f"the sender disconnected before {event}"), None
        finally:
            self.turns.end(turn)
            self._requests.end(request)
        try:
            await saved
        except StoreError:
            if delivery is not None:
                self._observer.notice(f"The handler at {delivery.url} got a request, but port-hook cannot save it.")
            raise
        if delivery is None:
            if manual is not None:
                capture = _with_manual(capture, manual)
            else:
                capture = self._with_own(capture) if turn.forwards else _with(capture, response)
            self._store.complete(capture)
            return capture, capture.response
        response = _relay(delivery)
        return _with(capture, response, delivery), response

    def _with_own(self, capture: Capture) -> Capture:
        """Return the capture of a request that no route took, with the listener's own response."""
        if self.policy.respond is None:
            return replace(capture, simulated=_dropped(capture.simulated))
        return _with(capture, self.policy.respond)

    async def _wait(self, turn: Turn, request: InFlight, saved: asyncio.Future[None]) -> ManualResponse | None:
        """Wait for the turn, and return the user's manual response, or None if there is none.

        Raises SenderLeft if the sender disconnected. Raises StoreError if the request could not be saved in the
        meantime.
        """
        name = request.capture.invocation.id
        # A client may half-close the connection right after its request, and still wait for the response.
        queueing = asyncio.get_running_loop().call_later(_HALF_CLOSE_S, self._queued.__setitem__, name, turn)
        self.holding.begin(request, turn)
        assert turn.called is not None
        try:
            manual = await turn.called
        except asyncio.CancelledError:
            self._interrupted(request, saved)
            raise
        finally:
            queueing.cancel()
            self._queued.pop(name, None)
            self.holding.end(request)
        if saved.done():
            saved.result()
        return manual

    async def _deliver(self, request: InFlight, saved: asyncio.Future[None], client: str) -> Delivery | None:
        """Send a request to its route's target, and return the outcome, or None if there is no target."""
        routes, capture = self.policy.routes, request.capture
        self.in_flight += 1
        try:
            base = await self._find_target(capture.payload) if routes.rules else routes.default
            if base is None:
                return None
            target = capture.invocation.target
            # The path of a handler replaces the whole path of a retargeted URL.
            mount = target.partition("?")[0] if target in self.retargeted else routes.mount
            url = join_target(base, target, mount=mount)
            request.sent_to(url)
            if request.stage != "":
                self._requests.tell_again(request)
            return await self._forwarder.send(self._forwarded(capture.invocation, url, client), url)
        except asyncio.CancelledError:
            self._interrupted(request, saved)
            raise
        finally:
            self.in_flight -= 1

    async def _find_target(self, payload: Payload) -> str | None:
        """Return the target of the first matching route, or the default target, which may be None."""
        time = RouteTime()
        for route in self.policy.routes.candidates(payload):
            if route.by is not RouteBy.JQ or (
                self._is_true and await self._is_true(route.name, payload.document, time)
            ):
                return route.target
        return self.policy.routes.default

    def _forwarded(self, invocation: Invocation, url: str, client: str) -> Invocation:
        return Invocation(
            id=invocation.id,
            received_at=invocation.received_at,
            method=invocation.method,
            target=invocation.target,
            headers=forwarded_headers(invocation, url, client=client, scheme=self._public.scheme),
            body=invocation.body,
            replay_of=invocation.replay_of,
            origin=invocation.origin,
        )

    async def _delay(self, capture: Capture, seconds: float) -> None:
        """Delay the response by `--delay`. If the listener ends during the delay, show that Port got no response."""
        request = self._requests.begin(capture, is_delayed=True)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._observer.notice(f"No response to {capture.invocation.id}: the listener stopped during --delay.")
            if capture.delivery is not None:
                self._observe(replace(capture, response=None), None)
            raise
        finally:
            self._requests.end(request)

    def _interrupted(self, request: InFlight, saved: asyncio.Future[None]) -> None:
        """Show a request that the end of the listener interrupted. Port gets no response to this request."""
        saved.cancel()
        event = "the handler responded" if request.url else "the request was forwarded"
        if request.stage == RESPONDED:
            event = "the manual response was due"
        cut_off = self._cut_off(request, f"the listener stopped before {event}, so Port got no response")
        self._requests.end(request)
        self.tally.verified += cut_off.verdict.status in VERIFIED
        self.tally.handler_failures += cut_off.handler_failed
        self._store.complete(cut_off)
        self._observer.captured(cut_off)

    def _cut_off(self, request: InFlight, error: str) -> Capture:
        """Return the capture without a response. `error` explains why there is no response.

        Without a handler, the error is only shown to the user.
        """
        capture, url = request.capture, request.url
        targets = (url, *self.policy.routes.targets) if url else self.policy.routes.targets
        if not targets:
            self._observer.notice(f"No response to {capture.invocation.id}: {error}.")
            return _with(capture, None)
        delivery = Delivery(url=targets[0], latency_ms=request.waited_ms, fault=INTERRUPTED, error=error)
        return _with(capture, None, delivery)

    def _unsaved(self, capture: Capture, error: StoreError) -> None:
        self._reader.forget(capture.invocation)
        if capture.invocation.origin is not None:  # the source reports the error and tries again
            self.tally.received -= 1
            return
        response = responses.not_saved(error.message)
        self._observer.notice(f"Responded with 500 to an unsaved request: {error.message} {error.hint}".rstrip())
        self._observer.captured(_with(capture, response))
        self.tally.unsaved += 1

    def _is_wanted(self, payload: Payload) -> bool:
        return not self.policy.only or payload.name in self.policy.only

    def _count(self, capture: Capture, response: Response | None) -> None:
        tally, run_id = self.tally, capture.payload.run_id
        tally.handler_failures += capture.handler_failed
        if (
            run_id
            and response is not None
            and run_fate(capture.payload, response, is_message=capture.invocation.origin is not None) in OPEN_FATES
        ):
            tally.waiting[run_id] = response.status // 100 != 2  # noqa: PLR2004 - the class of 2xx
            if len(tally.waiting) > MOST_WAITING_RUNS:
                tally.waiting.popitem(last=False)


class MessageGroup:
    """A group of messages that a pipeline saves in one commit. See `port_hook_cli.invocations.source.Group`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._captures: list[Capture] = []

    def add(self, invocation: Invocation) -> bool:
        """Verify a message and add it to the group. Return False if the verification would take long."""
        capture = self._pipeline.read_message(invocation)
        if capture is not None:
            self._captures.append(capture)
        return capture is not None

    async def save(self) -> None:
        """Save all messages of the group in one commit. Raises StoreError if none of them was saved."""
        if self._captures:
            await self._pipeline.save_messages(self._captures)


def _with(capture: Capture, response: Response | None, delivery: Delivery | None = None) -> Capture:
    return Capture(
        invocation=capture.invocation,
        verdict=capture.verdict,
        payload=capture.payload,
        delivery=delivery,
        response=response,
        simulated=capture.simulated,
    )


def _with_manual(capture: Capture, manual: ManualResponse) -> Capture:
    """Return the capture with the response that the user wrote by hand."""
    return replace(capture, response=manual.response, simulated=Simulated(manual=True, delay_s=manual.delay_s))


def _dropped(simulated: Simulated | None) -> Simulated:
    """Return the simulation of a closed connection, with the delay of `simulated`."""
    return replace(simulated or Simulated(), failure=DROP, dropped=True)


def _relay(delivery: Delivery) -> Response:
    if delivery.status is None:
        return responses.undelivered(delivery)
    return Response(status=delivery.status, headers=relayed_headers(delivery.headers), body=delivery.body)
