"""Reads and verifies requests without blocking the event loop.

Checking a signature over a small body takes microseconds, so the reader does it immediately. Longer work goes to one of
three threads. One thread hashes large bodies, and one thread reads requests that Port has signed. The third thread
diagnoses the other requests and has a short queue. So the sender of an unsigned request waits only for other unsigned
requests.

The threads share the interpreter with the event loop, so none of their steps may take long. That is why the diagnosis
has limits (see `signatures.budget` and `signatures.forms`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, TypeVar

from port_hook_cli.invocations.models import Invocation, Payload, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.listener.observers import VERIFIED
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.changed_body import with_changed_value
from port_hook_cli.signatures.messages import of_record, verify_received, verify_received_without_diagnosis
from port_hook_cli.signatures.verification import UNCHECKED, signature_key
from port_hook_cli.text.secret import Secret

T = TypeVar("T")

# Reading a body of this size takes about a millisecond.
_QUICK_BYTES = 16 * 1024
# An unsigned body larger than this is not parsed. At most `_MOST_WAITING` requests wait for a diagnosis.
_MOST_UNSIGNED_BYTES = 1024 * 1024
_MOST_WAITING = 16
# This limit bounds the memory of a long-running listener.
_MOST_SIGNATURES = 10_000
# The bodies of so many verified requests, if they are this small, are compared with a body that was changed.
_MOST_BODIES = 100
_MOST_BODY_BYTES = 64 * 1024

UNDIAGNOSED = Verdict(status=Status.INVALID, causes=(causes.UNDIAGNOSED,))
_UNSIGNED = frozenset({Status.MISSING, Status.MALFORMED, Status.INVALID})
_NOT_READ = Payload(problem="not read, because the signature is invalid")
# A document with more commas, colons and brackets is not parsed, because the garbage collector visits each of its
# objects.
_MOST_UNSIGNED_MARKS = 2**13


class Reading(NamedTuple):
    """The result of reading a request: the verdict on its signature, and its payload."""

    verdict: Verdict
    payload: Payload


class Reader:
    """Verifies invocations and reads their payloads. If `secret` is None, signatures are not verified.

    `seen` contains the verified signatures of an earlier session, which may have had another secret. `others` are other
    secrets that port-hook knows, which explain an invalid signature.
    """

    def __init__(
        self,
        secret: Secret | None,
        *,
        tolerance_s: float,
        seen: Mapping[bytes, SeenRequest] | None = None,
        others: Sequence[Secret] = (),
    ) -> None:
        self._secret, self._others = secret, others
        self._tolerance_s = tolerance_s
        self._signed = ThreadPoolExecutor(1, "reader")
        self._unsigned = ThreadPoolExecutor(1, "diagnosis")
        self._checks = ThreadPoolExecutor(1, "check")
        self._waiting = 0
        self._seen = _SeenSignatures(tolerance_s, seen or {})
        self._earlier = frozenset(seen or ())

    async def read(self, invocation: Invocation) -> Reading:
        """Verify and read a request. The verdict shows whether the request repeats an earlier request."""
        if (reading := self.read_now(invocation)) is not None:
            return reading
        key, now = signature_key(invocation.headers), invocation.received_at
        seen = self._seen.signed_at(key, now)
        reading = await self.in_time(invocation, seen=seen)
        verdict, payload = reading
        # Reading a large body takes time, so another request with this signature may have arrived in the meantime.
        if verdict.status in VERIFIED and seen is None and not self._seen.note(key, invocation, verdict):
            return Reading(replace(verdict, causes=(causes.REPLAYED, *verdict.causes)), payload)
        return reading

    def read_now(self, invocation: Invocation) -> Reading | None:
        """Return the same result as `read`, or None for a request that takes long to read or verify."""
        key, now = signature_key(invocation.headers), invocation.received_at
        seen = self._seen.signed_at(key, now)
        reading = self.at_once(invocation, seen=seen)
        if reading is not None and reading.verdict.status in VERIFIED and seen is None:
            self._seen.note(key, invocation, reading.verdict)
        return reading

    def forget(self, invocation: Invocation) -> None:
        """Forget the signature of a request that its sender will probably send again."""
        self._seen.forget(signature_key(invocation.headers))

    def at_once(self, invocation: Invocation, *, seen: float | None) -> Reading | None:
        """Verify and read a request that takes little time, or return None if it takes longer.

        `seen` is the signed time of an earlier verified request with the same signature, or None.
        """
        if len(invocation.body) > _QUICK_BYTES:
            return None
        verdict = self._plain_verdict(invocation, seen=seen)
        if verdict is None:
            return None
        return Reading(verdict, read_payload(invocation.body, invocation.headers))

    async def in_time(self, invocation: Invocation, *, seen: float | None) -> Reading:
        """Verify and read any request. `seen` is the same as for `at_once`."""
        verdict = await self._run(self._checks, lambda: self._plain_verdict(invocation, seen=seen))
        if verdict is None or verdict.status in _UNSIGNED:
            return await self._diagnosed(invocation, verdict, seen=seen)
        payload = await self._run(self._signed, lambda: read_payload(invocation.body, invocation.headers))
        return Reading(verdict, payload)

    def close(self) -> None:
        """Stop the threads of the reader, and discard the requests that wait for a thread."""
        for threads in (self._checks, self._signed, self._unsigned):
            threads.shutdown(wait=False, cancel_futures=True)

    def _plain_verdict(self, invocation: Invocation, *, seen: float | None) -> Verdict | None:
        if self._secret is None:
            return UNCHECKED
        verdict = verify_received_without_diagnosis(
            invocation.headers,
            invocation.body,
            self._secret,
            is_message=invocation.origin is not None,
            now=invocation.compared_at,
            tolerance_s=self._tolerance_s,
            seen=seen,
        )
        return verdict if verdict is None or invocation.recorded_at is None else of_record(verdict)

    async def _diagnosed(self, invocation: Invocation, plain: Verdict | None, *, seen: float | None) -> Reading:
        if self._waiting >= _MOST_WAITING:
            return Reading(plain or UNDIAGNOSED, _NOT_READ)
        self._waiting += 1
        try:
            return await self._run(self._unsigned, lambda: self._diagnose(invocation, plain, seen=seen))
        finally:
            self._waiting -= 1

    def _diagnose(self, invocation: Invocation, plain: Verdict | None, *, seen: float | None) -> Reading:
        assert self._secret is not None
        verdict = plain or verify_received(
            invocation.headers,
            invocation.body,
            self._secret,
            is_message=invocation.origin is not None,
            now=invocation.compared_at,
            tolerance_s=self._tolerance_s,
            seen=seen,
            others=self._others,
        )
        if plain is None and invocation.recorded_at is not None:
            verdict = of_record(verdict)
        key = signature_key(invocation.headers)
        if key in self._earlier:
            verdict = causes.of_unknown_secret(verdict)
        elif (signed := self._seen.request(key)) is not None and _is_cheap(invocation.body):
            verdict = with_changed_value(verdict, *signed, invocation.body)
        payload = read_payload(invocation.body, invocation.headers) if _is_cheap(invocation.body) else _NOT_READ
        return Reading(verdict, payload)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def _is_cheap(body: bytes) -> bool:
    """Return whether parsing an unsigned body takes at most a few milliseconds."""
    return len(body) <= _MOST_UNSIGNED_BYTES and sum(map(body.count, b",:[{")) <= _MOST_UNSIGNED_MARKS


class SeenRequest(NamedTuple):
    """Until when a verified request's signature is remembered, and its signed time, in seconds since the epoch."""

    until: float
    signed_at: float


class _SeenSignatures:
    """The latest 10,000 verified signatures that would still be accepted.

    Each signature is remembered for the tolerance after its arrival, or after its timestamp if the sender's clock is
    ahead. During that time, the same request would still be within the tolerance. Repeated requests don't extend the
    time. Only verified signatures are remembered, so that a sender without the secret cannot push them out.
    """

    def __init__(self, tolerance_s: float, known: Mapping[bytes, SeenRequest]) -> None:
        self._tolerance_s = tolerance_s
        self._requests = OrderedDict(known)
        self._bodies = OrderedDict[bytes, tuple[str, bytes]]()

    def signed_at(self, key: bytes | None, now: float) -> float | None:
        """Return the signed time of the request whose signature is remembered at `now`, or None."""
        seen = None if key is None else self._requests.get(key)
        return seen.signed_at if seen is not None and now <= seen.until else None

    def request(self, key: bytes | None) -> tuple[str, bytes] | None:
        """Return the ID and the body of the request with a signature, if they are remembered."""
        return None if key is None else self._bodies.get(key)

    def forget(self, key: bytes | None) -> None:
        """Forget a signature, if the reader remembers it."""
        if key is not None:
            self._requests.pop(key, None)

    def note(self, key: bytes | None, invocation: Invocation, verdict: Verdict) -> bool:
        """Remember a verified signature. Return whether the signature is new."""
        if key is None:
            return True
        now, age_s, recorded_at = invocation.received_at, verdict.age_s or 0.0, invocation.recorded_at
        if key in self._requests:
            if self.signed_at(key, now) is not None:
                return False
            del self._requests[key]  # an expired signature must move to the end
        # Calling `compared_at` would slow down each request.
        signed_at = (now if recorded_at is None else recorded_at) - age_s
        self._requests[key] = SeenRequest(now + max(0.0, -age_s) + self._tolerance_s, signed_at)
        if len(self._requests) > _MOST_SIGNATURES:
            self._requests.popitem(last=False)
        if len(invocation.body) <= _MOST_BODY_BYTES:
            self._bodies[key] = (invocation.id, invocation.body)
            if len(self._bodies) > _MOST_BODIES:
                self._bodies.popitem(last=False)
        return True
