"""Sends the requests of a check, each for its own run, within the limits on time and rate."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from itertools import islice, takewhile
from typing import NamedTuple

from port_hook_cli.check.effects import FirstRun, work_of
from port_hook_cli.check.forgeries import Signing, valid
from port_hook_cli.check.means import CheckMeans, ProbeClient
from port_hook_cli.check.pace import LEAST_S, TIME_UP, CheckPace, LeftHandler
from port_hook_cli.check.plan import CheckLimits
from port_hook_cli.check.reactions import Probe, Reaction
from port_hook_cli.check.recovery import HandlerRecovery
from port_hook_cli.check.subject import CheckSubject
from port_hook_cli.invocations.models import INTERRUPTED, Delivery, Invocation
from port_hook_cli.listener.handler_check import handler_address
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.signatures.signing import TimestampUnit

_QUICK_S = 0.1
_MOST_TOGETHER = 10
_MOST_HANGS = 2
_PIECES, _PAUSE_S = 3, 0.1
_SAVED_OF_A_CHECK = 3


class Manner(Enum):
    """How a request is sent: as a whole, in parts with pauses between them, or only its first half."""

    WHOLE = auto()
    IN_PIECES = auto()
    CUT = auto()


class Outgoing(NamedTuple):
    """A request of a check that is ready to be sent, and the run that distinguishes its effects from others."""

    slug: str
    label: str
    request: Invocation
    run_id: str
    manner: Manner = Manner.WHOLE


class Prober:
    """Sends probes.

    `subject` and `unit` are the request and the timestamp unit that the handler accepts, if known. `silent_run` is the
    work for a valid request to which the handler did not respond. With it, the sandbox shows which requests are
    accepted, and a missing response is expected.
    """

    def __init__(self, subject: CheckSubject, means: CheckMeans, limits: CheckLimits) -> None:
        self.subject = subject
        self.means = means
        self.unit = TimestampUnit.SECONDS
        self.sent = 0
        self.hung: list[Probe] = []
        self.silent_run: FirstRun | None = None
        self.pace = CheckPace(limits)
        self.recovery = HandlerRecovery(handler_address(subject.url), means.handler, self.pace)
        self._client = means.client(limits.timeout_s)
        self._by_check: dict[str, list[Probe]] = defaultdict(list)
        self._saved: dict[str, str | None] = {}

    @property
    def hangs_too_often(self) -> bool:
        """Whether the handler did not respond to two requests, so that waiting for a third response wastes time."""
        return len(self.hung) >= _MOST_HANGS

    @property
    def signing(self) -> Signing:
        """The secret, the unit and the time with which the next probe is signed."""
        return Signing(self.means.secret.reveal(), self.unit, self.means.now())

    def new_run_id(self) -> str:
        """Return an ID for another run."""
        return make_run_id(secrets.choice, "wfnr_" if self.subject.is_node else "r_")

    def draft(self, slug: str, *, body: bytes | None = None, run_id: str | None = None) -> tuple[str, Invocation]:
        """Return a new run ID, and an unsigned copy of the request for this run."""
        run_id = run_id or self.new_run_id()
        return run_id, self.subject.fresh(run_id, slug, body=body)

    async def accept(
        self, slug: str, label: str, *, body: bytes | None = None, run_id: str | None = None, shift_s: float = 0.0
    ) -> Probe:
        """Send a valid request with its timestamp shifted by `shift_s` seconds, and return it with its outcome."""
        run_id, draft = self.draft(slug, body=body, run_id=run_id)
        return await self.send(slug, label, valid(draft, self.signing, shift_s=shift_s), run_id)

    async def accept_each(self, slug: str, bodies: Mapping[str, bytes]) -> list[Probe]:
        """Send independent valid requests, whose bodies have a label each, like `send_each`."""
        outgoing: list[Outgoing] = []
        for label, body in bodies.items():
            run_id, draft = self.draft(slug, body=body)
            outgoing.append(Outgoing(slug, label, valid(draft, self.signing), run_id))
        return await self.send_each(outgoing)

    async def send(
        self,
        slug: str,
        label: str,
        request: Invocation,
        run_id: str,
        manner: Manner = Manner.WHOLE,
        *,
        client: ProbeClient | None = None,
        patience_s: float | None = None,
    ) -> Probe:
        """Send one request, and return it with its outcome. Raises LeftHandler if time is up or the handler is gone.

        Concurrent requests share a `client` and wait `patience_s` seconds for a response. A handler that has stopped
        proves nothing about the request, so this method waits for the handler, or starts its process again, and sends
        the request once more, unless it was interrupted on purpose.
        """
        is_alone = patience_s is None
        timeout_s = self._timeout_s() if patience_s is None else patience_s
        if is_alone:
            await self.pace.take_turn()
            await self._announce(run_id)

        async def attempt() -> Probe:
            sent = replace(request, id=self.means.new_id(), received_at=self.means.now())
            url = self.subject.url_for(run_id)
            sending = _sending(client or self._client, manner, sent, url)
            delivery, worked = await self._with_work(run_id, self._deliver(sending, url, timeout_s))
            self.sent += 1
            if delivery is None:  # the rest was not sent
                delivery = Delivery(url=url, fault=INTERRUPTED, error="disconnected")
            return Probe(slug, label, sent, delivery, run_id, worked=worked and delivery.status is None)

        probe = await attempt()
        if probe.delivery.fault == INTERRUPTED:
            await self.recovery.returns(probe, is_alone=is_alone)  # a crash would be due to this request, not the next
        elif not (probe.has_response or probe.worked):
            probe = await self.recovery.settle_silence(probe, attempt, is_alone=is_alone)
        self._record(probe, is_alone=is_alone)
        return probe

    def _record(self, probe: Probe, *, is_alone: bool) -> None:
        self._by_check[probe.slug].append(probe)
        self.recovery.latest = probe
        if not is_alone:
            return
        if probe.has_response:
            self.pace.record(probe)
        elif probe.reaction is Reaction.HUNG and not probe.died and self.silent_run is None:
            self.hung.append(probe)

    async def _deliver(self, sending: Awaitable[Delivery | None], url: str, timeout_s: float) -> Delivery | None:
        """Wait for a response, for at most `timeout_s` seconds. Return None if the request was cut off on purpose.

        Raises LeftHandler if the time of the whole check ends earlier.
        """
        limit_s = min(timeout_s, max(LEAST_S, self.pace.left_s))
        try:
            async with asyncio.timeout(limit_s):
                return await sending
        except TimeoutError:
            if limit_s < timeout_s:
                raise LeftHandler(TIME_UP) from None
            error = f"no response within {timeout_s:.1f} s"
            return Delivery(url=url, latency_ms=timeout_s * 1000, fault="timeout", error=error)

    async def _with_work(
        self, run_id: str, delivering: Coroutine[None, None, Delivery | None]
    ) -> tuple[Delivery | None, bool]:
        """Return the delivery, and whether a handler that does not respond has done its work."""
        watch, expected = self.means.watch, self.silent_run
        if watch is None or expected is None:
            return await delivering, False
        clock = asyncio.get_running_loop().time
        mark, began = await watch.mark(), clock()
        response = asyncio.ensure_future(delivering)
        work = asyncio.ensure_future(
            watch.wait_for(lambda seen: expected.is_done(seen, run_id), mark, self.pace.left_s)
        )
        try:
            await asyncio.wait((response, work), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((response,), timeout=_QUICK_S)
            if response.done():
                calls = work.result() if work.done() else await watch.calls(mark)
                return response.result(), bool(expected.work & work_of(calls, run_id))
            latency_ms = (clock() - began) * 1000
            return Delivery(url=self.subject.url, latency_ms=latency_ms, fault="timeout", error="no response"), True
        finally:
            for task in (response, work):
                task.cancel()
            await asyncio.gather(response, work, return_exceptions=True)

    async def send_each(self, outgoing: Iterable[Outgoing]) -> list[Probe]:
        """Send independent requests like `send_groups`, and return the sent requests.

        A handler that hangs too often does not get the others.
        """
        wanted = takewhile(lambda _: not self.hangs_too_often, outgoing)
        return [probe async for group in self.send_groups(wanted) for probe in group]

    async def send_groups(self, outgoing: Iterable[Outgoing]) -> AsyncIterator[list[Probe]]:
        """Send independent requests in their order, one at a time, or ten if the handler is slow.

        Yield the requests of each group. The next requests are taken from `outgoing` after that.
        """
        is_slow = self.pace.is_slow or self.silent_run is not None
        rest = iter(outgoing)
        while group := list(islice(rest, _MOST_TOGETHER if is_slow else 1)):
            if len(group) == 1:
                yield [await self.send(*group[0])]
                continue
            sent = await self._send_together(group)
            self.hung += [probe for probe in sent if probe.reaction is Reaction.HUNG and self.silent_run is None]
            yield sent

    async def together(self, slug: str, label: str, count: int, *, run_id: str | None = None) -> list[Probe]:
        """Send concurrent valid requests, and return them with their outcomes.

        With `run_id`, all requests are for this run and have the same bytes. Without `run_id`, each request has its own
        run.
        """
        runs = [run_id or self.new_run_id() for _ in range(count)]
        signing = self.signing
        requests = [valid(self.subject.fresh(run, slug), signing) for run in runs]
        ready = [Outgoing(slug, label, request, run) for request, run in zip(requests, runs, strict=True)]
        return await self._send_together(ready)

    async def _send_together(self, outgoing: Sequence[Outgoing]) -> list[Probe]:
        """Send concurrent requests, and return them with their outcomes.

        A handler may process requests one after another, so the timeout of each request is long enough for all of them.
        """
        await self.pace.take_turn(len(outgoing))
        for run in dict.fromkeys(each.run_id for each in outgoing):
            await self._announce(run)
        patience_s = self._timeout_s() + len(outgoing) * self.pace.slowest_s
        client = self.means.client(patience_s)
        sending = (self.send(*each, client=client, patience_s=patience_s) for each in outgoing)
        tasks = [asyncio.ensure_future(each) for each in sending]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            client.close()

    async def recover(self) -> None:
        """Restart a handler that does not respond to valid requests. Raises LeftHandler if this is not possible."""
        await self.recovery.bring_back("the handler stopped responding")
        self.hung.clear()

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def probes_of(self, slug: str) -> Sequence[Probe]:
        """Return the requests sent for a check."""
        return self._by_check[slug]

    async def save(self, probes: Sequence[Probe], original: str | None) -> tuple[str, ...]:
        """Save probes that prove a finding, and return their IDs. `original` is the capture that they replay."""
        keep = self.means.keep
        if keep is None:
            return ()
        for probe in probes[:_SAVED_OF_A_CHECK]:
            if probe.request.id not in self._saved:
                kept = await keep(replace(probe.request, replay_of=original), probe.delivery)
                self._saved[probe.request.id] = kept.capture
        saved = (self._saved[probe.request.id] for probe in probes[:_SAVED_OF_A_CHECK])
        return tuple(capture for capture in saved if capture)

    async def _announce(self, run_id: str) -> None:
        if self.means.watch is not None:
            await self.means.watch.announce(run_id, self.subject.action or "unknown", dict(self.subject.inputs))

    def _timeout_s(self) -> float:
        """Return how many seconds to wait for a response."""
        if self.silent_run is not None:
            return min(self.pace.most_s, self.silent_run.patience_s)
        return self.pace.timeout_s


def _sending(client: ProbeClient, manner: Manner, request: Invocation, url: str) -> Awaitable[Delivery | None]:
    match manner:
        case Manner.WHOLE:
            return client.send(request, url)
        case Manner.IN_PIECES:
            return client.send_slowly(request, url, pieces=_PIECES, pause_s=_PAUSE_S)
        case Manner.CUT:
            return client.send_partly(request, url)
