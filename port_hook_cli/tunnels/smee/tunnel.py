"""A webhook relay as the way to a listener: a channel of smee.io, of another smee server, or of gosmee.

The relay answers Port by itself and keeps nothing: what it is sent while no stream is connected is lost. Here its
events become requests again, to the one URL of the listener and to nothing else on this machine.
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

from port_hook_cli.errors import TunnelError
from port_hook_cli.http.certificates import system_trust
from port_hook_cli.http.client import HttpClient
from port_hook_cli.http.proxies import BadProxy, open_client
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.invocations.url_text import sendable_url
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.connectivity import Connectivity, ProbeResult
from port_hook_cli.tunnels.protocol import Opening
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
_HINT = "`--tunnel smee` makes a channel at https://smee.io; a URL is that of a channel, as https://smee.io/CHANNEL."
_PROBE_S = 10.0
_SUCCESS = 2
_CLOSE_S = 2.0
# The longest pause between two tries leaves room for the try itself: 5 s after the relay is back, events come again.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 4.0
_READY_S = 8.0
# A server that starts anew, or the proxy before it, may know nothing for a moment.
_GONE_AFTER = 3
_AT_ONCE = 32
# gosmee drops what is not read soon, so events wait here; so many bytes of them.
_MOST_WAITING = 64 * 1024 * 1024
_COST_OF_AN_EVENT = 4096
_NOTICE_EVERY_S = 10.0


async def open_smee(opening: Opening, *, silence_timeout_s: float = SILENCE_TIMEOUT_S) -> SmeeTunnel:
    """Connect to the channel `opening.address`, or to a new one at smee.io, and send its events to the listener.

    A URL that ends in `/new` makes a channel, too, at another server; a channel that was made before is taken again if
    the server still knows it. `silence_timeout_s` is how long a stream may say nothing, in seconds, before it counts as
    lost. Raises TunnelError.
    """
    url = opening.address or _NEW_CHANNEL
    if opening.previous_url and url.endswith("/new"):
        with contextlib.suppress(TunnelError):  # actions name it
            again = replace(opening, address=opening.previous_url, previous_url=None)
            return await open_smee(again, silence_timeout_s=silence_timeout_s)
    if "@" in urlsplit(url).netloc:
        raise TunnelError("A password in a channel's URL would be shown to whoever sees that URL.", hint=_HINT)
    timeout = httpx.Timeout(opening.timeout_s, read=silence_timeout_s)
    try:
        client = open_client(url, verify=system_trust(), timeout=timeout, headers={"user-agent": "port-hook"})
    except BadProxy as bad:
        raise _failure(url, bad, opening.timeout_s) from None
    tunnel: SmeeTunnel | None = None
    try:
        async with asyncio.timeout(opening.timeout_s):
            if url.endswith("/new"):
                url = await make_channel(client, url)
            tunnel = SmeeTunnel(url, client, opening)
            await tunnel.wait_until_open()
    except (StreamError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        await (tunnel.close() if tunnel else client.aclose())
        raise _failure(url, error, opening.timeout_s) from None
    except BaseException:
        await (tunnel.close() if tunnel else client.aclose())
        raise
    return tunnel


def _failure(url: str, error: Exception, timeout_s: float) -> TunnelError:
    words = f"it does not answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else explain(error)
    return TunnelError(
        f"The relay {brief(urlsplit(url).netloc)} gives no events of {brief(url)}: {brief(words)}.", hint=_HINT
    )


class SmeeTunnel:
    """A channel whose events reach the listener; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(self, url: str, client: httpx.AsyncClient, opening: Opening) -> None:
        self.url = url
        self.probe_timeout_s = _PROBE_S
        self._client = client
        self._stream = RelayStream(client, url)
        self._notice = _LimitedNotices(opening.notice)
        self._deliveries = _Deliveries(opening.local_url, self._notice)
        self._down = "it is not connected yet"
        self._heard: dict[str, asyncio.Future[float]] = {}
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[str] = loop.create_future()
        self._holding = asyncio.create_task(self._hold())

    async def wait_until_open(self) -> None:
        """Return when events come; raise what keeps them from coming."""
        await self._opened

    def health(self) -> str:
        """Return "" while the stream is connected; what is sent to the channel meanwhile is lost."""
        return f"the relay's stream is down: {self._down}" if self._down else ""

    async def probe(self, path: str, token: str) -> ProbeResult:  # noqa: ARG002 - a channel has no paths
        """Send a request to the channel and wait for its event, which is kept from the listener.

        Nobody else can have taken the URL: whoever connects to a channel hears it, too.
        """
        if self._down:
            return ProbeResult(Connectivity.UNREACHABLE, None, self.health())
        if self._deliveries.are_behind:  # a probe's event would stand behind those that wait; they have come, though
            return ProbeResult(Connectivity.REACHABLE)
        heard = self._heard[token] = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        words = f"the relay did not take a request within {self.probe_timeout_s:g} s"
        try:
            async with asyncio.timeout(self.probe_timeout_s):
                status = await self._post(probe_body(token))
                if status // 100 != _SUCCESS:
                    return ProbeResult(Connectivity.UNREACHABLE, None, f"the relay answers {status} to a request")
                words = f"the relay took a request, but did not hand it on within {self.probe_timeout_s:g} s"
                return ProbeResult(Connectivity.REACHABLE, (await heard - started) * 1000)
        except TimeoutError:
            return ProbeResult(Connectivity.UNREACHABLE, None, words)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return ProbeResult(Connectivity.UNREACHABLE, None, f"the relay takes no request: {brief(explain(error))}")
        finally:
            self._heard.pop(token, None)

    async def _post(self, body: bytes) -> int:
        """Send a request to the channel and return the response's status; its body is not read."""
        headers = {"content-type": "application/json"}
        async with self._client.stream("POST", self.url, content=body, headers=headers) as response:
            return response.status_code

    async def lost(self) -> str:
        """Wait until the relay no longer knows the channel; a stream that breaks off is connected anew."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Disconnect; what is on its way to the listener is dropped."""
        self._down = "it was closed"
        self._holding.cancel()
        await asyncio.wait({self._holding}, timeout=_CLOSE_S)
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()  # it was told, or nobody asks any more
        await self._deliveries.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._client.aclose()

    async def _hold(self) -> None:
        """Keep the stream connected, for ever, or until the channel is gone."""
        times_gone = tries = 0
        while True:
            began = time.monotonic()
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next connection may be better
                if not self._opened.done():
                    self._opened.set_exception(error)
                    return
                self._down = brief(explain(error))
                times_gone = times_gone + 1 if isinstance(error, StreamError) and error.is_gone else 0
            if times_gone == _GONE_AFTER:
                self._lost.set_result(f"The relay no longer knows the channel {brief(self.url)}.")
                return
            # A stream that is cut as soon as it is there is no reason to hurry.
            tries = 0 if time.monotonic() - began > _LONGEST_PAUSE_S + _READY_S else tries + 1
            pause_s = min(_FIRST_PAUSE_S * 2 ** max(tries - 1, 0), _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s * (0.5 + random.random() / 2))  # noqa: S311 - spreads clients, guards nothing

    async def _listen(self) -> None:
        """Hand on what one connection brings until it ends; that is always an exception."""
        async with (
            asyncio.timeout(None if not self._opened.done() else _READY_S) as bound,
            self._stream.connect() as events,
        ):
            async for event in events:
                if await self._take(event) and self._down:
                    bound.reschedule(None)
                    self._down = ""
                    if not self._opened.done():
                        self._opened.set_result(None)
        raise StreamError("it ended the stream")

    async def _take(self, event: ServerSentEvent) -> bool:
        """Return whether the event shows that requests come from now on: smee's `ready`, gosmee's, or a request."""
        if event.event not in {"", "message"} or not event.data:  # smee's `ready` and `ping`
            return True
        match read_event(event.data):
            case RelayMessage(text):
                return text != "connected"  # gosmee says so before it subscribes
            case InvalidEvent(why):
                self._notice(f"The relay sent an event that is no request: {brief(why)}")
                return False
            case RelayedRequest(body=body) as request:
                token = probe_token(body)
                if token is None:
                    await self._deliveries.start(request)
                elif (heard := self._heard.get(token)) and not heard.done():
                    heard.set_result(time.perf_counter())
                return True


class _Deliveries:
    """Requests on their way to the listener: `_AT_ONCE` at the same time, begun in the order in which they came."""

    def __init__(self, local_url: str, notice: Callable[[str], None]) -> None:
        self._url = local_url if urlsplit(local_url).path else f"{local_url}/"
        self._notice = notice
        # The listener has its own bounds on how long an answer may take.
        self._client = HttpClient(timeout_s=0)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._room = asyncio.Event()

    @property
    def are_behind(self) -> bool:
        """Whether so much waits that no more is read."""
        return self._waiting > _MOST_WAITING

    async def start(self, request: RelayedRequest) -> None:
        """Begin a delivery, when those that wait leave room for another."""
        while self.are_behind:
            self._room.clear()
            await self._room.wait()
        self._waiting += len(request.body) + _COST_OF_AN_EVENT
        task = asyncio.create_task(self._deliver(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        self._client.close()

    async def _deliver(self, request: RelayedRequest) -> None:
        try:
            async with self._slots:
                invocation = Invocation(
                    id="", received_at=0, method="POST", target="/", headers=request.headers, body=request.body
                )
                query = f"?{request.query}" if request.query else ""
                delivery = await self._client.send(invocation, sendable_url(self._url + query))
            if delivery.error:
                self._notice(f"An event of the relay did not reach the listener: {brief(delivery.error)}")
        finally:
            self._waiting -= len(request.body) + _COST_OF_AN_EVENT
            self._room.set()


class _LimitedNotices:
    """Tells one thing at once and what follows it within 10 s not at all, but how many they were."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._silent_until = 0.0
        self._untold = 0

    def __call__(self, words: str) -> None:
        now = time.monotonic()
        if now < self._silent_until:
            self._untold += 1
            return
        more = f" ({self._untold} more notices like it since the last one)" if self._untold else ""
        self._silent_until, self._untold = now + _NOTICE_EVERY_S, 0
        self._notice(words + more)
