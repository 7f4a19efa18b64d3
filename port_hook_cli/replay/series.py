"""A replay: find the sources, then send each N times, with a limit on concurrency and rate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from port_hook_cli.captures.store.capture_store import LAST
from port_hook_cli.captures.store.statements import StoreFilter
from port_hook_cli.errors import ExitCode, PortHookError, StoreError, UsageError
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Delivery, Exchange, Invocation
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.replay.pace import Pace
from port_hook_cli.replay.sources import ReplaySource, from_exchange, from_file, from_run, handler_here
from port_hook_cli.replay.tally import DeliveryTally
from port_hook_cli.runs.updates import is_node_run

_FAILED = 500
_MOST_BYTES = 256 * 1024 * 1024

MOST_SENDS = 1_000_000
"""The most requests of one series. Exact percentiles need all latencies, which take up to 50 MB for this many."""

LEAST_PREFIX = 4
"""The least number of characters of a capture's id: with fewer, a typing error could send another request."""


class Captures(Protocol):
    """The capture store, as far as a replay reads it. All methods raise StoreError."""

    def get(self, name: str, /) -> Exchange:
        """Return one capture by id, unique prefix or `last`."""
        ...

    def last_target(self) -> str | None:
        """Return where the last listener with this store forwarded to."""
        ...

    def find(self, *, run_id: str | None = None, limit: int, originals: bool) -> Iterator[Exchange]:
        """Yield captures, newest first: those of a run, or all; without replays if `originals` is set."""
        ...


class FailedCaptures(Protocol):
    """The capture store, as far as `replay --failed` reads it. All methods raise StoreError."""

    def last_target(self) -> str | None:
        """Return where the last listener with this store forwarded to."""
        ...

    def select(self, wanted: StoreFilter, *, oldest: bool) -> Iterator[Exchange]:
        """Yield the captures that match, in the order of their arrival."""
        ...

    def replayed(self) -> dict[str, int | None]:
        """Return the status of the latest replay of each capture by the capture's id, None without a response."""
        ...


class SourcePlaces(NamedTuple):
    """Where sources are searched.

    `read_file` returns None for a name that is not a file, and `open_captures` returns None if there is no store.
    `get_run` asks Port's API for an action run.
    """

    read_file: Callable[[str], bytes | None]
    is_directory: Callable[[str], bool]
    open_captures: Callable[[], Captures | None]
    get_run: Callable[[str], Awaitable[Mapping[str, Any]]]


class FailedSources(NamedTuple):
    """The captures to send again, and how many were left out because a replay of them did not fail."""

    sources: list[ReplaySource]
    done: int


async def find_source(name: str, places: SourcePlaces) -> ReplaySource:
    """Return the file, run or capture that `name` names, searched in this order.

    Port is asked about action runs only. Raises UsageError for an id that is too short, StoreError, and what
    `places.get_run` raises; the message names every place that was searched.
    """
    content = places.read_file(name)
    if content is not None:
        return from_file(name, content)
    if is_run_id(name):
        return await _find_run(name, places)
    return _from_store(name, _find_capture(name, places), places)


def _from_store(name: str, exchange: Exchange, places: SourcePlaces) -> ReplaySource:
    """Return a capture of the store as a source; one that was not forwarded has the last listener's target."""
    captures = places.open_captures()
    return _stored(name, exchange, None if captures is None else captures.last_target())


def _stored(name: str, exchange: Exchange, last_target: str | None) -> ReplaySource:
    source = replace(from_exchange(name, exchange), is_stored=True)
    return source if exchange.delivery is not None else replace(source, listener_target=handler_here(last_target))


def find_failed(captures: FailedCaptures, since_s: float | None) -> FailedSources:
    """Return the captures that the handler failed, oldest first, without those whose latest replay did not fail.

    Replays themselves are left out. Raises StoreError, also for more than the memory should hold.
    """
    replayed, last_target = captures.replayed(), captures.last_target()
    sources: list[ReplaySource] = []
    done = size = 0
    for exchange in captures.select(StoreFilter(failed=True, originals=True, since_s=since_s), oldest=True):
        if (replayed.get(exchange.invocation.id) or _FAILED) < _FAILED:
            done += 1
            continue
        size += len(exchange.invocation.body)
        if size > _MOST_BYTES:
            raise StoreError("The captures that failed have more than 256 MiB.", hint="Send fewer with --since.")
        sources.append(_stored(exchange.invocation.id, exchange, last_target))
    return FailedSources(sources, done)


def _find_capture(name: str, places: SourcePlaces) -> Exchange:
    captures = places.open_captures()
    if captures is not None and len(name) >= LEAST_PREFIX:
        try:
            return _newest_original(captures) if name == LAST else captures.get(name)
        except StoreError as problem:
            if not places.is_directory(name):
                raise _with_sentence(problem, f"There is no file {name} either.") from problem
    if places.is_directory(name):
        raise StoreError(f"{name} is a directory; a file or a capture is needed.", hint="Name a file in it.")
    if captures is None:
        missing = "this folder has no capture store to search."
        raise StoreError(
            missing.capitalize() if name == LAST else f"There is no file {name}, and {missing}",
            hint="Name a file with a payload, or capture a request first: `port-hook listen`.",
        )
    raise UsageError(
        f"There is no file {name}, and {name} is too short for a capture's id.",
        hint=f"Give at least {LEAST_PREFIX} characters of the id; `port-hook captures` lists them.",
    )


def _newest_original(captures: Captures) -> Exchange:
    """Return the newest capture that is not a replay: `replay last --set …` can be repeated with other values."""
    return next(captures.find(limit=1, originals=True), None) or captures.get(LAST)


async def _find_run(name: str, places: SourcePlaces) -> ReplaySource:

    captures = places.open_captures()
    captured = None if captures is None else next(captures.find(run_id=name, limit=1, originals=True), None)
    if captured is not None:
        return _from_store(name, captured, places)
    if is_node_run(name):
        # Port's API reference has routes that update node runs and their logs, but none that returns their request.
        raise StoreError(
            f"There is no file {name} and no capture of that run here, and Port's API does not return a "
            "node run's request: runs of workflow nodes are replayed from captures only.",
            hint="Capture it with `port-hook listen` when the node runs again, or name a file with its payload.",
        )
    try:
        return from_run(name, await places.get_run(name))
    except PortHookError as problem:
        reason = f"Port was asked because there is no file {name} and no capture of that run here."
        raise _with_sentence(problem, reason) from problem


def _with_sentence(problem: PortHookError, sentence: str) -> PortHookError:
    return type(problem)(f"{problem.message} {sentence}", hint=problem.hint)


class Replay(NamedTuple):
    """A request that is ready except for its signature, and the URL to send it to."""

    source: str
    run_id: str | None
    draft: Invocation
    url: str
    recorded: Delivery | None = None
    is_stored: bool = False


class Sent(NamedTuple):
    """A replay that was sent as `request`; `elapsed_s` is the time since the series began, in seconds."""

    replay: Replay
    delivery: Delivery
    elapsed_s: float
    request: Invocation


class Client(Protocol):
    """Sends requests."""

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        """Send one request and return the outcome; a failure is a Delivery too."""
        ...


class Series(NamedTuple):
    """How often each replay is sent, how many at once, and how many a second (None: no limit)."""

    times: int = 1
    concurrency: int = 1
    rate_per_s: float | None = None


async def send_series(
    replays: Sequence[Replay],
    series: Series,
    *,
    client: Client,
    finish: Callable[[Invocation], Invocation],
    on_sent: Callable[[Sent], None],
) -> None:
    """Send every replay `series.times` times, in rounds. `finish` signs each draft just before it is sent."""
    clock = asyncio.get_running_loop().time
    pace = None if series.rate_per_s is None else Pace(series.rate_per_s, clock=clock, sleep=asyncio.sleep)
    queue = _rounds(replays, series.times)
    began = clock()

    async def work() -> None:
        for replay in queue:
            if pace is not None:
                await pace.turn()
            request = finish(replay.draft)
            delivery = await client.send(request, replay.url)
            on_sent(Sent(replay=replay, delivery=delivery, elapsed_s=clock() - began, request=request))

    await _together(work() for _ in range(min(series.concurrency, len(replays) * series.times)))


def _rounds(replays: Sequence[Replay], times: int) -> Iterator[Replay]:
    for _ in range(times):
        yield from replays


async def _together(works: Iterable[Awaitable[None]]) -> None:
    """Await all. The first failure cancels the others and is raised, not in an exception group."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def exit_code(tally: DeliveryTally, expectation: Expectation | None) -> ExitCode:
    """Return the exit code: TARGET for an unreachable target, FAILED for a missing or unexpected response, else OK."""
    if tally.unreachable:
        return ExitCode.TARGET
    return ExitCode.FAILED if tally.failed or unexpected(tally, expectation) else ExitCode.OK


def unexpected(tally: DeliveryTally, expectation: Expectation | None) -> int:
    """Return how many deliveries do not have the expected status."""
    if expectation is None:
        return 0
    return tally.failed + sum(count for status, count in tally.statuses.items() if not expectation.met_by(status))
