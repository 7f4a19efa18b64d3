"""Reading and judging requests without holding up the event loop.

The signature's plain check takes microseconds and is done at once. What takes longer goes to one of three threads:
one that hashes large bodies, one for requests that Port has signed, and one, with a short queue, for everything else.
So a sender of unsigned requests waits for other such requests only.

The threads share the interpreter with the event loop, so no single step of theirs may take long. That is why the
diagnosis has limits: see `core.budget`, `core.likeness` and `core.forms`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from port_hook_cli.invocations.models import Exchange, Invocation, Payload, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.signatures import causes
from port_hook_cli.signatures.verification import UNCHECKED, judge, judge_plainly
from port_hook_cli.text.secret import Secret

T = TypeVar("T")

# Up to so many bytes, a body is read in a millisecond or so.
_QUICK_BYTES = 16 * 1024
# Of a request that nobody has signed, no larger body is parsed, and no more than this many wait for a diagnosis.
_MOST_UNSIGNED_BYTES = 1024 * 1024
_MOST_WAITING = 16

UNDIAGNOSED = Verdict(status=Status.INVALID, causes=(causes.UNDIAGNOSED,))
_UNSIGNED = frozenset({Status.MISSING, Status.MALFORMED, Status.INVALID})
_NOT_READ = Payload(problem="not read, for want of a good signature")
# A document with more commas, colons and brackets is not parsed either: the garbage collector visits each object.
_MOST_UNSIGNED_MARKS = 2**13


class Reader:
    """Makes the exchange of an invocation. `secret` None means that nothing is verified."""

    def __init__(self, secret: Secret | None, *, tolerance_s: float) -> None:
        self._secret = secret
        self._tolerance_s = tolerance_s
        self._signed = ThreadPoolExecutor(1, "reader")
        self._unsigned = ThreadPoolExecutor(1, "diagnosis")
        self._checks = ThreadPoolExecutor(1, "check")
        self._waiting = 0

    def at_once(self, invocation: Invocation, *, seen: bool) -> Exchange | None:
        """Return the exchange of a request that takes no time to read and judge, None for any other.

        `seen` says that its signature was judged good before.
        """
        if len(invocation.body) > _QUICK_BYTES:
            return None
        verdict = self._plain_verdict(invocation, seen=seen)
        if verdict is None:
            return None
        payload = read_payload(invocation.body, invocation.headers)
        return Exchange(invocation=invocation, verdict=verdict, payload=payload)

    async def in_time(self, invocation: Invocation, *, seen: bool) -> Exchange:
        """Return the exchange of any request."""
        verdict = await self._run(self._checks, lambda: self._plain_verdict(invocation, seen=seen))
        if verdict is None or verdict.status in _UNSIGNED:
            return await self._diagnosed(invocation, verdict, seen=seen)
        payload = await self._run(self._signed, lambda: read_payload(invocation.body, invocation.headers))
        return Exchange(invocation=invocation, verdict=verdict, payload=payload)

    def close(self) -> None:
        """Let go of the threads; what waits for them is given up."""
        for threads in (self._checks, self._signed, self._unsigned):
            threads.shutdown(wait=False, cancel_futures=True)

    def _plain_verdict(self, invocation: Invocation, *, seen: bool) -> Verdict | None:
        if self._secret is None:
            return UNCHECKED
        return judge_plainly(
            invocation.headers,
            invocation.body,
            self._secret,
            now=invocation.received_at,
            tolerance_s=self._tolerance_s,
            seen=seen,
        )

    async def _diagnosed(self, invocation: Invocation, plain: Verdict | None, *, seen: bool) -> Exchange:
        if self._waiting >= _MOST_WAITING:
            return Exchange(invocation=invocation, verdict=plain or UNDIAGNOSED, payload=_NOT_READ)
        self._waiting += 1
        try:
            return await self._run(self._unsigned, lambda: self._diagnose(invocation, plain, seen=seen))
        finally:
            self._waiting -= 1

    def _diagnose(self, invocation: Invocation, plain: Verdict | None, *, seen: bool) -> Exchange:
        assert self._secret is not None
        verdict = plain or judge(
            invocation.headers,
            invocation.body,
            self._secret,
            now=invocation.received_at,
            tolerance_s=self._tolerance_s,
            seen=seen,
        )
        payload = read_payload(invocation.body, invocation.headers) if _is_cheap(invocation.body) else _NOT_READ
        return Exchange(invocation=invocation, verdict=verdict, payload=payload)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def _is_cheap(body: bytes) -> bool:
    """Return whether an unsigned body takes no more than a few milliseconds to parse."""
    return len(body) <= _MOST_UNSIGNED_BYTES and sum(map(body.count, b",:[{")) <= _MOST_UNSIGNED_MARKS
