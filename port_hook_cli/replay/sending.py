"""Send one replay, or a series with a limit on concurrency and rate: over HTTP, to a Lambda function, or a listener."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import chain, repeat
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from port_hook_cli.captures.exports.lambda_event import InvalidResult, lambda_event, read_result
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.heap import tune_heap
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.invocations.targets import BadTarget, parse_target, target_url
from port_hook_cli.replay.rewriting import NOT_KEPT, KeptReplay, ReadyReplay, SentReplay, announced_runs

if TYPE_CHECKING:
    from port_hook_cli.invocations.source import Recipient, SourceContext
    from port_hook_cli.port_api.access import PortAccess


MOST_SENDS = 1_000_000
"""The maximum number of requests in one series. Exact percentiles need all latencies, which take up to 50 MB."""


Keep: TypeAlias = Callable[[Invocation, Delivery], Awaitable[KeptReplay]]
"""A function that saves a replay with its delivery."""


async def announce(readies: Iterable[ReadyReplay], access: PortAccess) -> None:
    """Tell a sandbox on this machine which runs its handler is about to receive. Never raises."""
    if runs := announced_runs(readies):
        await access.announce(runs)


async def send(request: Invocation, url: str, recipient: Recipient, keep: Keep | None = None) -> SentReplay:
    """Send one request, and save it with `keep` if that is not None."""
    delivery = await recipient.send(request, url)
    return SentReplay(request, delivery, NOT_KEPT if keep is None else await keep(request, delivery))


@frozen
class Series:
    """How often each replay is sent, how many are sent concurrently, and how many a second (None: no limit)."""

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

    `keep` saves replays of the store's captures. Results are only passed to `on_sent`, because Ctrl-C may end the
    series.
    """
    clock = asyncio.get_running_loop().time
    pace = None if series.rate_per_s is None else Pace(series.rate_per_s, clock=clock, sleep=asyncio.sleep)
    count = len(readies) * series.times
    if count > 1:
        tune_heap()
    queue = chain.from_iterable(repeat(readies, series.times))

    async def work() -> None:
        for ready in queue:
            if pace is not None:
                await pace.turn()
            keeping = keep if ready.source.is_stored else None
            on_sent(ready, await send(finish(ready.draft), ready.url, recipient, keeping))

    await _together(work() for _ in range(min(series.concurrency, count)))


async def _together(works: Iterable[Awaitable[None]]) -> None:
    """Await all of `works`. The first failure cancels the others, and is raised directly, not in an exception group."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def parse_rate(text: str) -> float:
    """Return the requests per second in a rate such as `50/s`, `50` or `600/m`.

    Raises UsageError for any other text.
    """
    match = re.fullmatch(r"(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:/(?P<unit>s|m))?", text.strip())
    rate_per_s = float(match["number"]) / (60 if match["unit"] == "m" else 1) if match else 0.0
    if not 0 < rate_per_s < math.inf:
        raise UsageError(f"{text!r} is not a rate.", hint="Write it like 50/s, or 600/m.")
    return rate_per_s


class Pace:
    """Admits callers one after another, at most `rate_per_s` a second.

    If a caller is late, the next callers still wait, because catching up would cause a burst. `clock` and `sleep` use
    seconds.
    """

    def __init__(
        self, rate_per_s: float, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._interval_s = 1 / rate_per_s
        self._clock = clock
        self._sleep = sleep
        self._next = -math.inf

    async def turn(self) -> None:
        """Wait until it is the caller's turn."""
        now = self._clock()
        due = max(self._next, now)
        self._next = due + self._interval_s
        if due > now:
            await self._sleep(due - now)


class ListenerRecipient:
    """Sends requests to the listener of this process, which verifies, saves, forwards and shows them like any other."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context

    async def send(self, invocation: Invocation, url: str) -> Delivery:
        """Send a request through the listener's pipeline.

        Raises StoreError, and UsageError if the body is too large.
        """
        if len(invocation.body) > self._context.max_body:
            raise UsageError(
                f"The body has {len(invocation.body):,} bytes, but the listener takes {self._context.max_body:,}.",
                hint="Raise --max-body.",
            )
        clock = asyncio.get_running_loop().time
        started = clock()
        response = await self._context.receive(invocation, "127.0.0.1")
        latency_ms = (clock() - started) * 1000
        if response is None:
            dropped = "the listener closed the connection without a response (--respond drop)"
            return Delivery(url=url, latency_ms=latency_ms, fault="broken", error=dropped)
        return Delivery(
            url=url, status=response.status, latency_ms=latency_ms, headers=response.headers, body=response.body
        )


_PATH = "/2015-03-31/functions/function/invocations"
_HEADERS = Headers((("content-type", "application/json"),))


def endpoint_url(address: str) -> str:
    """Return the URL that invokes a function in a runtime. Without a path, `address` gets the path of Lambda's API.

    Raises UsageError for an invalid address, such as the name or the ARN of a function.
    """
    try:
        url = parse_target(address)
        fault = "" if "://" in address or urlsplit(url).port else f"'{address}' has no port"
    except BadTarget as error:
        url, fault = "", str(error)
    if fault:
        raise UsageError(
            f"--to: lambda:// needs the address of a Lambda runtime, but {fault}.",
            hint="Start your function in a local runtime, and pass its address: `--to lambda://127.0.0.1:9000`.",
        )
    return target_url(url, _PATH)


def event_of(request: Invocation, endpoint: str) -> bytes:
    """Return the event that passes a request to a Lambda function. The event's path and query come from the request."""
    parts = urlsplit(endpoint)
    url = target_url(f"{parts.scheme}://{parts.netloc}", request.target)
    headers = Headers((("host", parts.netloc), *request.headers.without("host")))
    return json.dumps(lambda_event(replace(request, headers=headers), url)).encode()


class LambdaClient:
    """Invokes a Lambda function with the event of a request, and converts the function's result to a response."""

    def __init__(self, http: Recipient) -> None:
        self._http = http

    async def send(self, invocation: Invocation, url: str) -> Delivery:
        """Invoke the function at `url` with the event of `invocation`."""
        call = replace(invocation, method="POST", headers=_HEADERS, body=event_of(invocation, url))
        delivery = await self._http.send(call, url)
        if delivery.status != HTTPStatus.OK:  # the Lambda runtime's own error, or no response
            return delivery
        try:
            answer = read_result(delivery.body)
        except InvalidResult as problem:
            error = f"the function's result is not a response: {problem}"
            return replace(delivery, status=None, headers=Headers(), body=b"", fault="broken", error=error)
        return replace(delivery, status=answer.status, headers=answer.headers, body=answer.body)
