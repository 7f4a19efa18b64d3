"""The stream of events of a smee or gosmee channel, over httpx-sse, and what keeps it from coming, in words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

SILENCE_TIMEOUT_S = 70.0
"""Both servers send something every 30 s; who misses two of them has no connection any more."""

_EVENT_STREAM = "text/event-stream"
# gosmee accepts bodies of up to 25 MiB and sends them in base64, so no request is larger.
_LONGEST_EVENT = 36 * 1024 * 1024
_MOST_REDIRECTS = 3
_MOST_BYTES = 4096


class StreamError(Exception):
    """No events come; the message is a clause. `is_gone` when the server knows no such channel."""

    def __init__(self, words: str, *, is_gone: bool = False) -> None:
        super().__init__(words)
        self.is_gone = is_gone


class RelayStream:
    """The events of `channel`, the URL that Port calls.

    smee sends them from that URL, to who accepts `text/event-stream` and nothing else. gosmee has a page there and
    the events at `/events/CHANNEL`; which one it is shows in the type of what comes, and is kept.
    """

    def __init__(self, client: httpx.AsyncClient, channel: str) -> None:
        self._client = client
        parts = urlsplit(channel)
        folder, _, name = parts.path.rpartition("/")
        self._sources: tuple[str, ...] = (channel, parts._replace(path=f"{folder}/events/{name}").geturl())

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """Give the events for as long as the context lasts; raises StreamError and httpx.HTTPError, as does reading."""
        trouble: StreamError | None = None
        for source in self._sources:
            async with aconnect_sse(self._client, "GET", source, headers={"accept-encoding": "identity"}) as stream:
                problem = _problem(stream.response)
                if problem is None:
                    self._sources = (source,)
                    async with aclosing(_events(stream)) as events:
                        yield events
                    return
                trouble = trouble or problem
                if stream.response.status_code not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
                    break
        raise trouble or StreamError("nothing is known of it")


async def make_channel(client: httpx.AsyncClient, new_url: str) -> str:
    """Return the URL of a new channel: `/new` of smee leads there (307), that of gosmee names it (200, text).

    Only its path is taken, and only from the host that was asked: events come from nowhere else. Raises StreamError and
    httpx.HTTPError.
    """
    for _ in range(_MOST_REDIRECTS):
        asked = urlsplit(new_url)
        async with client.stream("GET", new_url) as response:
            if response.has_redirect_location:
                named = urljoin(new_url, response.headers["location"])
            elif response.is_success and _type_of(response) == "text/plain":
                named = await _line(response)
            else:
                raise _problem(response) or StreamError("it makes no channels")
        parts = _split(named)
        if parts.hostname != asked.hostname or not parts.path.strip("/"):
            raise StreamError(f"it made a channel elsewhere, at {named[:100]}; give that URL yourself")
        if parts.path != asked.path:
            # A server behind a proxy may believe that it speaks HTTP without TLS.
            return asked._replace(path=parts.path.rstrip("/"), query="").geturl()
        new_url = named
    raise StreamError("it makes no channels")


def explain(error: Exception) -> str:
    """Return why a stream did not come or broke off, as a clause."""
    match error:
        case StreamError():
            return str(error)
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"it cannot be reached ({str(error) or 'no connection in time'})"
        case httpx.ReadTimeout():
            return "it has gone silent"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return "it broke the connection off"
        case TimeoutError():
            return "it does not answer"
        case _:
            return str(error) or type(error).__name__


def _problem(response: httpx.Response) -> StreamError | None:
    """Return why this is no stream of events, or None if it is one."""
    status = response.status_code
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.is_success and coding != "identity":
        return StreamError(f"it answers with a content-encoding that port-hook did not ask for ({coding[:40]})")
    if response.is_success and _type_of(response) == _EVENT_STREAM:
        return None
    if status == HTTPStatus.NOT_FOUND:
        return StreamError("it knows no such channel (404)", is_gone=True)
    if response.has_redirect_location:
        return StreamError(f"it leads to {response.headers['location'][:100]}; give that URL")
    if response.is_success:
        return StreamError(f"it answers with a page ({_type_of(response)[:50]}), so it is no channel of smee or gosmee")
    return StreamError(f"it answers with status {status}")


async def _events(stream: EventSource) -> AsyncGenerator[ServerSentEvent, None]:
    # The format is always UTF-8, whatever the header says; and httpx-sse keeps what has no end.
    stream.response.encoding = "utf-8"
    bounded = _Bounded(stream.response.stream)
    stream.response.stream = bounded
    async with aclosing(stream.aiter_sse()) as events:
        async for event in events:
            bounded.pending = 0
            yield event


class _Bounded(httpx.AsyncByteStream):
    """A body of which no more than `_LONGEST_EVENT` bytes come without an event in them."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self.pending = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self.pending += len(part)
            if self.pending > _LONGEST_EVENT:
                raise StreamError("it sends an event without end")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _line(response: httpx.Response) -> str:
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > _MOST_BYTES:
            break
    return body[:_MOST_BYTES].decode("utf-8", "replace").strip()


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _type_of(response: httpx.Response) -> str:
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind
