"""A channel of a webhook relay: smee.io, another smee server, or gosmee.

The relay responds to Port itself and stores nothing. A request is lost if no stream is connected when it arrives. A
channel is a tunnel, because it has a public URL. It is also a source, because its events go directly to the pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
from httpx_sse import ServerSentEvent

from port_hook_cli.errors import StoreError, TunnelError
from port_hook_cli.http.proxies import BadProxy, open_client
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.invocations.source import SourceContext
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import Opening, trust
from port_hook_cli.tunnels.report import Connectivity, ProbeResult
from port_hook_cli.tunnels.smee.event import (
    InvalidEvent,
    RelayedRequest,
    RelayMessage,
    probe_body,
    probe_token,
    read_event,
)
from port_hook_cli.tunnels.smee.stream import SILENCE_TIMEOUT_S, RelayStream, StreamError, explain, make_channel

_NEW_CHANNEL = "https://smee.io/new"
_HINT = (
    "`--tunnel smee` creates a channel at https://smee.io. A URL must be the URL of a channel, such as "
    "https://smee.io/CHANNEL."
)
_PROBE_TIMEOUT_S = 10.0
_SUCCESS = 2
_CLOSE_TIMEOUT_S = 2.0
# The longest pause leaves time for the next attempt to connect, so that events arrive again within 5 s after the relay
# is back.
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.2, 4.0
_READY_TIMEOUT_S = 8.0
# A server that restarts, or a proxy in front of it, may respond with 404 for a moment.
_MAX_NOT_FOUND = 3
_AT_ONCE = 32
# gosmee discards events after a short time, so port-hook queues events up to this many bytes.
_MAX_WAITING_BYTES = 64 * 1024 * 1024
_BYTES_PER_EVENT = 4096
_NOTICE_INTERVAL_S = 10.0


async def open_smee(
    opening: Opening, *, silence_timeout_s: float = SILENCE_TIMEOUT_S, max_waiting_bytes: int = _MAX_WAITING_BYTES
) -> SmeeChannel:
    """Connect to the channel `opening.address`, or to a new smee.io channel, and feed `opening.source` with its events.

    A URL that ends in `/new` creates a channel at another server. If the server still has the channel
    `opening.previous_url`, this channel is reused instead of a new channel. A stream without any event for
    `silence_timeout_s` seconds counts as lost. Raises TunnelError.
    """
    if opening.source is None:
        raise TypeError("a relay feeds `opening.source`, which is None")
    url = opening.address or _NEW_CHANNEL
    if opening.previous_url and url.endswith("/new"):
        with contextlib.suppress(TunnelError):  # because actions in Port use it
            again = replace(opening, address=opening.previous_url, previous_url=None)
            return await open_smee(again, silence_timeout_s=silence_timeout_s, max_waiting_bytes=max_waiting_bytes)
    if "@" in urlsplit(url).netloc:
        raise TunnelError("The channel's URL contains a password, visible to everyone who sees the URL.", hint=_HINT)
    timeout = httpx.Timeout(opening.timeout_s, read=silence_timeout_s)
    try:
        client = open_client(url, verify=trust(), timeout=timeout, headers={"user-agent": "port-hook"})
    except BadProxy as bad:
        raise _failure(url, bad, opening.timeout_s) from None
    channel: SmeeChannel | None = None
    try:
        async with asyncio.timeout(opening.timeout_s):
            if url.endswith("/new"):
                url = await make_channel(client, url)
            channel = SmeeChannel(url, client, opening.source, max_waiting_bytes)
            await channel.wait_until_open()
    except (StreamError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        await (channel.close() if channel else client.aclose())
        raise _failure(url, error, opening.timeout_s) from None
    except BaseException:
        await (channel.close() if channel else client.aclose())
        raise
    return channel


def _failure(url: str, error: Exception, timeout_s: float) -> TunnelError:
    reason = f"it does not respond within {timeout_s:g} s" if isinstance(error, TimeoutError) else explain(error)
    return TunnelError(
        f"The relay {brief(urlsplit(url).netloc)} does not send events of {brief(url)}: {brief(reason)}.",
        hint=_HINT,
    )


class SmeeChannel:
    """An open channel.

    See `port_hook_cli.tunnels.protocol.Tunnel` and `port_hook_cli.invocations.source.Source`. `pauses_s` contains the
    shortest and the longest pause before the channel reconnects.
    """

    def __init__(self, url: str, client: httpx.AsyncClient, context: SourceContext, max_waiting_bytes: int) -> None:
        self.url = url
        self.probe_timeout_s = _PROBE_TIMEOUT_S
        self.pauses_s = (_MIN_PAUSE_S, _MAX_PAUSE_S)
        self._client = client
        self._stream = RelayStream(client, url)
        self._notice = _LimitedNotices(context.notice)
        self._deliveries = _Deliveries(urlsplit(url).netloc, replace(context, notice=self._notice), max_waiting_bytes)
        self._problem = "it is not connected yet"
        self._probes: dict[str, asyncio.Future[float]] = {}
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[str] = loop.create_future()
        self._connecting = asyncio.create_task(self._stay_connected())

    async def wait_until_open(self) -> None:
        """Wait until events can arrive. Raises the error that prevents them from arriving."""
        await self._opened

    def health(self) -> str:
        """Return "" while the stream is connected.

        Otherwise, return the problem, because requests to the channel are lost.
        """
        return f"the relay's stream is down: {self._problem}" if self._problem else ""

    async def probe(self, path: str, token: str) -> ProbeResult:  # noqa: ARG002 - a channel has no paths
        """Send a request to the channel and wait for its event. The event does not count as an invocation.

        The result is never TAKEN, because every client of a channel gets its events.
        """
        if self._problem:
            return ProbeResult(Connectivity.UNREACHABLE, None, self.health())
        if self._deliveries.are_full:  # the waiting events prove that the channel works
            return ProbeResult(Connectivity.REACHABLE)
        arrived = self._probes[token] = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        message = f"the relay did not accept a request within {self.probe_timeout_s:g} s"
        try:
            async with asyncio.timeout(self.probe_timeout_s):
                status = await self._post(probe_body(token))
                if status // 100 != _SUCCESS:
                    return ProbeResult(Connectivity.UNREACHABLE, None, f"the relay responds with {status} to a request")
                message = f"the relay accepted a request, but did not pass it on within {self.probe_timeout_s:g} s"
                return ProbeResult(Connectivity.REACHABLE, (await arrived - started) * 1000)
        except TimeoutError:
            return ProbeResult(Connectivity.UNREACHABLE, None, message)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            message = f"the relay does not accept requests: {brief(explain(error))}"
            return ProbeResult(Connectivity.UNREACHABLE, None, message)
        finally:
            self._probes.pop(token, None)

    async def _post(self, body: bytes) -> int:
        """Send a request to the channel and return the status of the response, without reading the body."""
        headers = {"content-type": "application/json"}
        async with self._client.stream("POST", self.url, content=body, headers=headers) as response:
            return response.status_code

    async def lost(self) -> str:
        """Wait until the relay no longer has the channel, and reconnect lost streams.

        Return a sentence about what happened.
        """
        return await asyncio.shield(self._lost)

    async def close(self, drain_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Disconnect, give invocations in progress `drain_s` seconds, and cancel the remaining invocations."""
        self._problem = "it was closed"
        self._connecting.cancel()
        await asyncio.wait({self._connecting}, timeout=_CLOSE_TIMEOUT_S)
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()  # retrieved, so that asyncio does not report it
        await self._deliveries.close(drain_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._client.aclose()

    async def _stay_connected(self) -> None:
        """Keep the stream connected, until the task is cancelled or the channel no longer exists."""
        not_found = attempts = 0
        while True:
            started = time.monotonic()
            try:
                await self._read_events()
            except Exception as error:  # noqa: BLE001 - the next attempt may succeed, whatever the error is
                if not self._opened.done():
                    self._opened.set_exception(error)
                    return
                self._problem = brief(explain(error))
                not_found = not_found + 1 if isinstance(error, StreamError) and error.is_gone else 0
            if not_found == _MAX_NOT_FOUND:
                self._lost.set_result(f"The relay no longer has the channel {brief(self.url)}.")
                return
            shortest_s, longest_s = self.pauses_s
            # Only a stream that lasted resets the pause.
            attempts = 0 if time.monotonic() - started > longest_s + _READY_TIMEOUT_S else attempts + 1
            pause_s = min(shortest_s * 2 ** max(attempts - 1, 0), longest_s)
            # The pause is random, so that the clients of a restarted relay do not all return at the same time.
            await asyncio.sleep(pause_s * (0.5 + random.random() / 2))  # noqa: S311 - not a secret

    async def _read_events(self) -> None:
        """Handle the events of one connection. The end of the connection always raises an exception."""
        async with (
            asyncio.timeout(None if not self._opened.done() else _READY_TIMEOUT_S) as timeout,
            self._stream.connect() as events,
        ):
            async for event in events:
                if await self._handle(event) and self._problem:
                    timeout.reschedule(None)
                    self._problem = ""
                    if not self._opened.done():
                        self._opened.set_result(None)
        raise StreamError("it ended the stream")

    async def _handle(self, event: ServerSentEvent) -> bool:
        """Return whether the event shows that requests arrive: a request, or a `ready` event."""
        if event.event not in {"", "message"} or not event.data:  # `ready` and `ping` of smee
            return True
        match read_event(event.data):
            case RelayMessage(text):
                return text != "connected"  # gosmee sends this before it subscribes to the channel
            case InvalidEvent(why):
                self._notice(f"The relay sent an event that is not a request: {brief(why)}")
                return False
            case RelayedRequest(body=body) as request:
                token = probe_token(body)
                if token is None:
                    await self._deliveries.start(request)
                elif (arrived := self._probes.get(token)) and not arrived.done():
                    arrived.set_result(time.perf_counter())
                return True


class _Deliveries:
    """Delivers requests to the pipeline: `_AT_ONCE` requests concurrently, started in the order of arrival."""

    def __init__(self, host: str, context: SourceContext, max_waiting_bytes: int) -> None:
        self._host, self._context, self._max_waiting_bytes = host, context, max_waiting_bytes
        self._target = context.mount.rstrip("/") or "/"  # a relay does not pass on the path
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_bytes = 0
        self._has_capacity = asyncio.Event()

    @property
    def are_full(self) -> bool:
        """Whether the queue is full, so that no more events are read."""
        return self._waiting_bytes > self._max_waiting_bytes

    async def start(self, request: RelayedRequest) -> None:
        """Wait for capacity, and then start the delivery of a request."""
        if len(request.body) > self._context.max_body:
            self._context.notice(
                f"The relay sent a body of {len(request.body)} bytes. It was not captured (limit --max-body)."
            )
            return
        while self.are_full:
            self._has_capacity.clear()
            await self._has_capacity.wait()
        self._waiting_bytes += len(request.body) + _BYTES_PER_EVENT
        task = asyncio.create_task(self._deliver(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, drain_s: float) -> None:
        """Wait up to `drain_s` seconds for the deliveries in progress, then cancel the remaining deliveries."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT_S)

    async def _deliver(self, request: RelayedRequest) -> None:
        try:
            async with self._slots:
                await self._context.receive(self._invocation(request), "unknown")
        except StoreError:
            pass  # the pipeline has reported it, and the relay has already responded to Port
        except Exception as error:  # noqa: BLE001 - a defect in port-hook must not end the channel
            self._context.notice(f"A request from the relay failed: {type(error).__name__}: {brief(str(error))}")
        finally:
            self._waiting_bytes -= len(request.body) + _BYTES_PER_EVENT
            self._has_capacity.set()

    def _invocation(self, request: RelayedRequest) -> Invocation:
        length = ("content-length", str(len(request.body)))
        return Invocation(
            id=self._context.new_id(),
            received_at=self._context.now(),
            method="POST",
            target=f"{self._target}?{request.query}" if request.query else self._target,
            headers=Headers((("host", self._host), *request.headers.items, length)),
            body=request.body,
        )


class _LimitedNotices:
    """Reports a notice immediately, and then no notice for 10 s. The next notice says how many notices were omitted."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._silent_until = 0.0
        self._omitted = 0

    def __call__(self, message: str) -> None:
        now = time.monotonic()
        if now < self._silent_until:
            self._omitted += 1
            return
        more = f" ({self._omitted} similar notices since the last one)" if self._omitted else ""
        self._silent_until, self._omitted = now + _NOTICE_INTERVAL_S, 0
        self._notice(message + more)
