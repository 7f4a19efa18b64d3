"""Send one replay, or a series with a limit on concurrency and rate, and save replays in the store."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from port_hook_cli.captures.store.reading import LateStore
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.heap import tune_heap
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.replay.rewriting import NOT_KEPT, KeptReplay, ReadyReplay, SentReplay, announced_runs
from port_hook_cli.text.secret import Secret

if TYPE_CHECKING:
    from port_hook_cli.captures.store.capture_store import CaptureStore
    from port_hook_cli.invocations.source import Recipient, SourceContext
    from port_hook_cli.port_api.access import PortAccess

MOST_SENDS = 1_000_000
"""The most requests of one series. Exact percentiles need all latencies, which take up to 50 MB for this many."""

_LOOPBACK = "127.0.0.1"
_RATE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:/(?P<unit>s|m))?")
_SECONDS = {"s": 1, "m": 60}


Keep: TypeAlias = Callable[[Invocation, Delivery], Awaitable[KeptReplay]]
"""Saves a replay with its outcome."""


async def announce(readies: Iterable[ReadyReplay], access: PortAccess) -> None:
    """Tell a sandbox on this machine what its handler is about to get. No failure is raised."""
    if runs := announced_runs(readies):
        await access.announce(runs)


async def send(request: Invocation, url: str, recipient: Recipient, keep: Keep | None = None) -> SentReplay:
    """Send one request, and save it with `keep`."""
    delivery = await recipient.send(request, url)
    return SentReplay(request, delivery, NOT_KEPT if keep is None else await keep(request, delivery))


class Series(NamedTuple):
    """How often each replay is sent, how many concurrently, and how many a second (None: no limit)."""

    times: int = 1
    concurrency: int = 1
    rate_per_s: float | None = None


async def send_series(
    readies: Sequence[ReadyReplay],
    series: Series,
    recipient: Recipient,
    *,
    finish: Callable[[Invocation], Invocation],
    on_sent: Callable[[ReadyReplay, SentReplay], None],
    keep: Keep | None = None,
) -> None:
    """Send every replay `series.times` times, in rounds. `finish` signs each draft just before it is sent.

    `keep` saves replays of the store's captures. Only `on_sent` gets the results, because Ctrl-C may end the series.
    """
    clock = asyncio.get_running_loop().time
    pace = None if series.rate_per_s is None else Pace(series.rate_per_s, clock=clock, sleep=asyncio.sleep)
    count = len(readies) * series.times
    if count > 1:
        tune_heap()
    queue = _rounds(readies, series.times)

    async def work() -> None:
        for ready in queue:
            if pace is not None:
                await pace.turn()
            on_sent(
                ready,
                await send(finish(ready.draft), ready.url, recipient, keep if ready.source.is_stored else None),
            )

    await _together(work() for _ in range(min(series.concurrency, count)))


def _rounds(readies: Sequence[ReadyReplay], times: int) -> Iterator[ReadyReplay]:
    for _ in range(times):
        yield from readies


async def _together(works: Iterable[Awaitable[None]]) -> None:
    """Await all. The first failure cancels the others and is raised, not in an exception group."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def parse_rate(text: str) -> float:
    """Return the rate in `50/s`, `50` or `600/m`, per second. Raises UsageError."""
    match = _RATE.fullmatch(text.strip())
    rate_per_s = float(match["number"]) / _SECONDS[match["unit"] or "s"] if match else 0.0
    if not 0 < rate_per_s < math.inf:
        raise UsageError(f"{text!r} is not a rate.", hint="Write it like 50/s, or 600/m.")
    return rate_per_s


class Pace:
    """Admits callers one after another, at most `rate_per_s` a second.

    Lost time is not made up for, because that would cause a burst. `clock` and `sleep` are in seconds.
    """

    def __init__(
        self, rate_per_s: float, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._interval_s = 1 / rate_per_s
        self._clock = clock
        self._sleep = sleep
        self._next = -math.inf

    async def turn(self) -> None:
        """Wait for the caller's turn."""
        now = self._clock()
        due = max(self._next, now)
        self._next = due + self._interval_s
        if due > now:
            await self._sleep(due - now)


class ReplayKeeper:
    """Adds replays with their outcomes to a store, which it opens when it first saves. Close it after use.

    After a failure, it stops saving and does not report the failure again.
    """

    def __init__(self, store: Path, secret: Secret | None) -> None:
        self._path, self._secret = store, secret
        self._store = LateStore(self._open)
        self.close = self._store.close
        self._is_broken = False

    async def keep(self, request: Invocation, delivery: Delivery) -> KeptReplay:
        """Save a replay in this thread, unless a listener with the same store has captured it."""
        return self.save(request, delivery)

    def save(self, request: Invocation, delivery: Delivery) -> KeptReplay:
        """Save a replay as `keep` does."""
        from port_hook_cli.captures.store.replays import save_replay

        if self._is_broken:
            return NOT_KEPT
        try:
            return KeptReplay(save_replay(self._store.open(), request, delivery, secret=self._secret))
        except StoreError as problem:
            self._is_broken = True
            return KeptReplay(problem=problem.message)

    def _open(self) -> CaptureStore:
        from port_hook_cli.captures.store.replays import open_for_replays

        return open_for_replays(self._path)


async def kept_by_listener(request: Invocation, _: Delivery) -> KeptReplay:
    """Return the id of a request that a listener of this process has captured."""
    return KeptReplay(request.id)


async def keep_in_thread(store: Path, secret: Secret | None, request: Invocation, delivery: Delivery) -> KeptReplay:
    """Save one replay in a store without blocking the event loop."""

    def save() -> KeptReplay:
        keeper = ReplayKeeper(store, secret)
        try:
            return keeper.save(request, delivery)
        finally:
            keeper.close()

    return await asyncio.to_thread(save)


class ListenerRecipient:
    """Sends to the listener of this process: the request is verified, saved, forwarded and shown like any other."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def send(self, invocation: Invocation, url: str) -> Delivery:
        """Send a request through the pipeline. Raises StoreError, and UsageError for a body that is too large."""
        if len(invocation.body) > self._context.max_body:
            raise UsageError(
                f"The body has {len(invocation.body):,} bytes, and the listener takes {self._context.max_body:,}.",
                hint="Raise --max-body.",
            )
        clock = asyncio.get_running_loop().time
        started = clock()
        response = await self._context.receive(invocation, _LOOPBACK)
        latency_ms = (clock() - started) * 1000
        if response is None:
            dropped = "the listener closed the connection without a response (--drop)"
            return Delivery(url=url, latency_ms=latency_ms, fault="broken", error=dropped)
        return Delivery(
            url=url, status=response.status, latency_ms=latency_ms, headers=response.headers, body=response.body
        )
