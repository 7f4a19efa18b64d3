"""The event stream of a smee or gosmee channel, read with httpx-sse, and its errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

SILENCE_TIMEOUT_S = 70.0
"""The number of seconds without a message after which the connection is lost.

Both servers send a message every 30 s.
"""

_EVENT_STREAM = "text/event-stream"
# gosmee accepts bodies of up to 25 MiB and sends them in base64, so no event is larger than this.
_MAX_EVENT_BYTES = 36 * 1024 * 1024
_MAX_REDIRECTS = 3
_MAX_LINE_BYTES = 4096


class StreamError(Exception):
    """The event stream failed. The message is a clause. `is_gone` means that the server does not have the channel."""

    def __init__(self, message: str, *, is_gone: bool = False) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class RelayStream:
    """The events of `channel`, which is the URL for Port.

    smee sends the events at this URL, to clients that accept only `text/event-stream`. gosmee has a web page at this
    URL, and sends the events at `/events/CHANNEL`. The content type of the response shows which server it is.
    """

    def __init__(self, client: httpx.AsyncClient, channel: str) -> None:
        self._client = client
        parts = urlsplit(channel)
        folder, _, name = parts.path.rpartition("/")
        self._urls: tuple[str, ...] = (channel, parts._replace(path=f"{folder}/events/{name}").geturl())

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """Yield the events until the context ends. Connecting and reading raise StreamError and httpx.HTTPError."""
        first_problem: StreamError | None = None
        for url in self._urls:
            async with aconnect_sse(self._client, "GET", url, headers={"accept-encoding": "identity"}) as stream:
                problem = _problem(stream.response)
                if problem is None:
                    self._urls = (url,)
                    async with aclosing(_events(stream)) as events:
                        yield events
                    return
                first_problem = first_problem or problem
                if stream.response.status_code not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
                    break
        raise first_problem or StreamError("it does not respond with events")


async def make_channel(client: httpx.AsyncClient, new_url: str) -> str:
    """Return the URL of a new channel.

    smee's `/new` redirects to the channel (307). gosmee's `/new` returns the URL of the channel as text (200). The URL
    must have the host of `new_url`, and only the path of the URL is used. Raises StreamError and httpx.HTTPError.
    """
    for _ in range(_MAX_REDIRECTS):
        requested = urlsplit(new_url)
        async with client.stream("GET", new_url) as response:
            if response.has_redirect_location:
                named = urljoin(new_url, response.headers["location"])
            elif response.is_success and _type_of(response) == "text/plain":
                named = await _line(response)
            else:
                raise _problem(response) or StreamError("it does not create channels")
        parts = _split(named)
        if parts.hostname != requested.hostname or not parts.path.strip("/"):
            raise StreamError(f"it created a channel at another host. Pass that URL: {named[:100]}")
        if parts.path != requested.path:
            # A server behind a proxy may refer to itself with `http://` instead of `https://`.
            return requested._replace(path=parts.path.rstrip("/"), query="").geturl()
        new_url = named
    raise StreamError("it does not create channels")


def explain(error: Exception) -> str:
    """Return why the stream failed or ended, as a clause."""
    match error:
        case StreamError():
            return str(error)
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"it is unreachable ({str(error) or 'no connection in time'})"
        case httpx.ReadTimeout():
            return "it stopped sending data"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return "it closed the connection"
        case TimeoutError():
            return "it does not respond"
        case _:
            return str(error) or type(error).__name__


def _problem(response: httpx.Response) -> StreamError | None:
    """Return the error for a response that is not an event stream, or None for an event stream."""
    status = response.status_code
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.is_success and coding != "identity":
        return StreamError(f"it responds with a content-encoding that port-hook did not request ({coding[:40]})")
    if response.is_success and _type_of(response) == _EVENT_STREAM:
        return None
    if status == HTTPStatus.NOT_FOUND:
        return StreamError("it has no such channel (404)", is_gone=True)
    if response.has_redirect_location:
        return StreamError(f"it redirects to another URL. Pass that URL: {response.headers['location'][:100]}")
    if response.is_success:
        return StreamError(
            f"it responds with a page ({_type_of(response)[:50]}), so it is not a smee or gosmee channel"
        )
    return StreamError(f"it responds with status {status}")


async def _events(stream: EventSource) -> AsyncGenerator[ServerSentEvent, None]:
    # The format is always UTF-8, whatever the header says. httpx-sse has no limit for the size of an event.
    stream.response.encoding = "utf-8"
    bounded = _Bounded(stream.response.stream)
    stream.response.stream = bounded
    async with aclosing(stream.aiter_sse()) as events:
        async for event in events:
            bounded.pending = 0
            yield event


class _Bounded(httpx.AsyncByteStream):
    """A response body that may contain up to `_MAX_EVENT_BYTES` bytes between two events."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self.pending = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self.pending += len(part)
            if self.pending > _MAX_EVENT_BYTES:
                raise StreamError("it sends an event that is too large")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _line(response: httpx.Response) -> str:
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > _MAX_LINE_BYTES:
            break
    return body[:_MAX_LINE_BYTES].decode("utf-8", "replace").strip()


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _type_of(response: httpx.Response) -> str:
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind
