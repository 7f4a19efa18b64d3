"""A replay: find the sources, then send each N times, with a limit on concurrency and rate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from port_hook_cli.errors import ExitCode, PortHookError, StoreError, UsageError
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Delivery, Exchange, Headers, Invocation
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.replay.pace import Pace
from port_hook_cli.replay.sources import ReplaySource, from_exchange, from_file, from_run, handler_here
from port_hook_cli.runs.updates import is_node_run

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

    def find(self, *, run_id: str, limit: int) -> Iterator[Exchange]:
        """Yield captures of a run, newest first."""
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
    source, captures = from_exchange(name, exchange), places.open_captures()
    if exchange.delivery is not None or captures is None:
        return source
    return replace(source, listener_target=handler_here(captures.last_target()))


def _find_capture(name: str, places: SourcePlaces) -> Exchange:
    captures = places.open_captures()
    if captures is not None and len(name) >= LEAST_PREFIX:
        try:
            return captures.get(name)
        except StoreError as problem:
            if not places.is_directory(name):
                raise _with_sentence(problem, f"There is no file {name} either.") from problem
    if places.is_directory(name):
        raise StoreError(f"{name} is a directory; a file or a capture is needed.", hint="Name a file in it.")
    if captures is None:
        raise StoreError(
            f"There is no file {name}, and this folder has no capture store to search.",
            hint="Name a file with a payload, or capture a request first: `port-hook listen`.",
        )
    raise UsageError(
        f"There is no file {name}, and {name} is too short for a capture's id.",
        hint=f"Give at least {LEAST_PREFIX} characters of the id; `port-hook captures` lists them.",
    )


async def _find_run(name: str, places: SourcePlaces) -> ReplaySource:

    captures = places.open_captures()
    captured = None if captures is None else next(captures.find(run_id=name, limit=1), None)
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


class Sent(NamedTuple):
    """A replay that was sent; `elapsed_s` is the time since the series began, in seconds."""

    replay: Replay
    delivery: Delivery
    elapsed_s: float


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
            delivery = await client.send(finish(replay.draft), replay.url)
            on_sent(Sent(replay=replay, delivery=delivery, elapsed_s=clock() - began))

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


def without_response(delivery: Delivery) -> Delivery:
    """Return `delivery` without the response's fields and body, which are not shown in a series."""
    return replace(delivery, headers=Headers(), body=b"")


def exit_code(deliveries: Sequence[Delivery], expectation: Expectation | None) -> ExitCode:
    """Return the exit code: TARGET for an unreachable target, FAILED for a missing or unexpected response, else OK."""
    if any(delivery.fault == "unreachable" for delivery in deliveries):
        return ExitCode.TARGET
    if any(delivery.status is None for delivery in deliveries) or unexpected(deliveries, expectation):
        return ExitCode.FAILED
    return ExitCode.OK


def unexpected(deliveries: Sequence[Delivery], expectation: Expectation | None) -> int:
    """Return how many deliveries do not have the expected status."""
    return 0 if expectation is None else sum(not expectation.met_by(delivery.status) for delivery in deliveries)
