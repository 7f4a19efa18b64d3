"""What happens to one request: judged, saved, then forwarded or refused, answered, and shown.

The promise: nothing is acknowledged to Port that is not in the store. Saving begins first; the handler works while the
commit is under way; the answer waits for both.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Protocol

from port_hook_cli.core import answering
from port_hook_cli.core.forwarding import forwarded_headers, relayed_headers
from port_hook_cli.core.listening import Policy, Tally
from port_hook_cli.core.models import (
    SIGNATURE_HEADER,
    Answer,
    Delivery,
    Exchange,
    Headers,
    Invocation,
    Payload,
    Status,
    Verdict,
)
from port_hook_cli.core.payload import read_payload
from port_hook_cli.core.verification import UNCHECKED, judge
from port_hook_cli.errors import StoreError

# Bounds what a listener remembers, however long it runs.
_MOST_SIGNATURES = 20_000
# Up to so many bytes, judging takes a few milliseconds at most, whatever the body holds.
_QUICK_BODY = 16 * 1024
_MOST_WAITING_RUNS = 1_000


class Saving(Protocol):
    """The store as a listener needs it."""

    def save(self, exchange: Exchange) -> Awaitable[None]:
        """Begin to save `exchange`; awaiting what is returned ends with the commit, or raises StoreError."""

    def complete(self, exchange: Exchange) -> None:
        """Add delivery and answer to what was saved, without waiting."""


class Forwarding(Protocol):
    """The client that hands requests to the code under development. Never raises."""

    async def forward(self, invocation: Invocation, url: str, headers: Headers) -> Delivery:
        """Send the invocation with `headers` to `url` and return what came of it."""


class Onlooker(Protocol):
    """Whoever looks on. It may not wait: the answer does not wait for it."""

    def exchanged(self, exchange: Exchange) -> None:
        """Take note of an exchange whose answer is on its way."""

    def notice(self, text: str) -> None:
        """Take note of something that is not an invocation."""


class Listening:
    """The life of a listener's requests. One instance serves one event loop."""

    def __init__(
        self,
        policy: Policy,
        *,
        store: Saving,
        forwarder: Forwarding,
        onlooker: Onlooker,
        seen: Mapping[str, float] | None = None,
    ) -> None:
        self.policy = policy
        self.tally = Tally()
        self._store = store
        self._forwarder = forwarder
        self._onlooker = onlooker
        self._seen = _SeenSignatures(policy.tolerance_s, seen or {})
        self._failures_left = policy.fail_first

    async def receive(self, invocation: Invocation, client: str) -> Answer:
        """Return the answer to `invocation`, which came from the address `client`."""
        exchange = Exchange(
            invocation=invocation,
            verdict=await self._judge(invocation),
            payload=read_payload(invocation.body, invocation.headers),
        )
        self.tally.received += 1
        saved = self._store.save(exchange)
        answer, delivery = await self._answer(exchange, client)
        try:
            await saved
        except StoreError as error:
            return self._unsaved(replace(exchange, delivery=delivery), error)
        # The answer goes out first; whoever looks on comes after it.
        done = replace(exchange, answer=answer, delivery=delivery)
        asyncio.get_running_loop().call_soon(self._look_on, done, answer)
        return answer

    def _look_on(self, exchange: Exchange, answer: Answer) -> None:
        self._store.complete(exchange)
        self._count(exchange, answer)
        if self._is_wanted(exchange.payload):
            self._onlooker.exchanged(exchange)

    async def _judge(self, invocation: Invocation) -> Verdict:
        secret = self.policy.secret
        if secret is None:
            return UNCHECKED
        seen = self._seen.note(invocation.headers.get(SIGNATURE_HEADER), invocation.received_at)

        def judged() -> Verdict:
            return judge(
                invocation.headers,
                invocation.body,
                secret,
                now=invocation.received_at,
                tolerance_s=self.policy.tolerance_s,
                seen=seen,
            )

        # A diagnosis of a large body takes up to seconds; other requests are answered meanwhile.
        if len(invocation.body) > _QUICK_BODY or invocation.headers.get("content-encoding"):
            return await asyncio.to_thread(judged)
        return judged()

    async def _answer(self, exchange: Exchange, client: str) -> tuple[Answer, Delivery | None]:
        refusal = self._refusal(exchange.verdict)
        if refusal is not None:
            return refusal, None
        if not self._is_wanted(exchange.payload):
            self.tally.passed_over += 1
            return answering.OK, None
        if self.policy.delay_s:
            await asyncio.sleep(self.policy.delay_s)
        if self._failures_left > 0:
            self._failures_left -= 1
            return answering.made_to_fail(self._failures_left), None
        return await self._forward(exchange, client)

    def _refusal(self, verdict: Verdict) -> Answer | None:
        policy = self.policy
        if verdict.status is Status.UNCHECKED or policy.allow_unverified:
            return None
        believed = answering.is_believed(verdict, strict=policy.strict, refuse_replays=policy.refuse_replays)
        return None if believed else answering.refused(verdict)

    async def _forward(self, exchange: Exchange, client: str) -> tuple[Answer, Delivery | None]:
        invocation = exchange.invocation
        url = self.policy.routes.url_for(exchange.payload.action, invocation.target)
        if url is None:
            return self.policy.respond, None
        headers = forwarded_headers(invocation, url, client=client, scheme=self.policy.scheme)
        delivery = await self._forwarder.forward(invocation, url, headers)
        return _relay(delivery), delivery

    def _unsaved(self, exchange: Exchange, error: StoreError) -> Answer:
        answer = answering.not_saved(error.message)
        self._onlooker.notice(f"not saved, answered 500: {error.message} {error.hint}".rstrip())
        self._onlooker.exchanged(replace(exchange, answer=answer))
        self.tally.refused += 1
        return answer

    def _is_wanted(self, payload: Payload) -> bool:
        return not self.policy.only or payload.action in self.policy.only

    def _count(self, exchange: Exchange, answer: Answer) -> None:
        tally = self.tally
        tally.verified += exchange.verdict.status in {Status.VALID, Status.REENCODED}
        if self._refusal(exchange.verdict) is not None:
            tally.refused += 1
            return
        tally.handler_failures += exchange.delivery is not None and not exchange.delivery.ok
        run_id = exchange.payload.run_id
        fate = answering.run_fate(exchange.payload, answer)
        if run_id and fate in {answering.RunFate.WAITS, answering.RunFate.DEPENDS}:
            tally.waiting[run_id] = None
            if len(tally.waiting) > _MOST_WAITING_RUNS:
                tally.waiting.popitem(last=False)


def _relay(delivery: Delivery) -> Answer:
    if delivery.status is None:
        return answering.undelivered(delivery)
    return Answer(status=delivery.status, headers=relayed_headers(delivery.headers), body=delivery.body)


class _SeenSignatures:
    """The signatures met within the tolerance, the latest 20,000 of them."""

    def __init__(self, tolerance_s: float, known: Mapping[str, float]) -> None:
        self._tolerance_s = tolerance_s
        self._received_at: OrderedDict[str, float] = OrderedDict(known)

    def note(self, signature: str | None, now: float) -> bool:
        """Return whether `signature` was met within the tolerance before `now`, and remember it."""
        if signature is None:
            return False
        before = self._received_at.get(signature)
        self._received_at[signature] = now
        if len(self._received_at) > _MOST_SIGNATURES:
            self._received_at.popitem(last=False)
        return before is not None and now - before <= self._tolerance_s
