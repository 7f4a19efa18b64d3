"""Simulated servers of smee.io and of gosmee, for senders and listeners.

    async with Relay.serve() as relay: ...              # in the event loop of the test
    with relay_in_thread(gosmee=True) as relay: ...     # for a test that waits for processes

smee, according to lib/server.js of probot/smee.io: GET /new redirects (307) to a channel. GET /CHANNEL is a stream for
clients that accept exactly `text/event-stream`, and a page for others. The stream begins with `ready`, and has a `ping`
every 30 s. The response to POST /CHANNEL is an immediate, empty 200, whether or not a client is connected. Without a
client, the request is lost. The body is parsed and serialized again. It rejects input that is not JSON (415), more than
1 MiB (413), and a body that is not an object, a `__proto__`, or an `x-github-delivery` that is not a UUID (400).

gosmee, according to gosmee/server.go of chmouel/gosmee: GET /new responds with the channel (200, text). GET /CHANNEL is
always a page, and GET /events/CHANNEL the stream, which begins with `connected` and `ready`. The body is passed on as
base64. The response to a POST is 202, to input that is not JSON 400, above 25 MiB 413. A client with 100 unread events
misses the next ones.

A test can `cut` the streams, make the relay `go_away` and `come_back` (on the same port), and `say` any text on the
streams. `trouble` names a failure: `mute` (streams without a `ready`), `deaf` (accepts requests and passes none on),
`page`, `gone` (404), `refuses` (503), `leads-away` (301), `circles` (/new redirects to /new), `hangs-up` (disconnects
before it responds), `ends` (streams end after their beginning), `odd` (its text is not a URL, and too long).

What it leaves out: header names that look like numbers stay in their place (JavaScript would sort them), the query is
parsed one level deep, there is no redelivery, no protected channels and no TLS, and Go's escapes of `<`, `>` and `&`
are not written.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web

from port_hook_cli.javascript.stringify import NotJson, stringify
from tests.servers import in_thread

PING_S = 30.0
CHANNEL = "AbCdEfGhIjKlMnOp"
_GOSMEE_UNREAD = 100
_REFUSALS = {"gone": web.HTTPNotFound, "refuses": web.HTTPServiceUnavailable}
Write = Callable[[str], Awaitable[None]]


class Relay:
    """A relay on 127.0.0.1. See the module."""

    def __init__(self, *, gosmee: bool = False, trouble: str = "", ping_s: float = PING_S) -> None:
        self.gosmee, self.trouble, self.ping_s = gosmee, trouble, ping_s
        self.port = 0
        self.connections = 0
        self._queues: dict[asyncio.Queue[str], web.Request] = {}
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def channel(self) -> str:
        return f"{self.url}/{CHANNEL}"

    @classmethod
    @asynccontextmanager
    async def serve(cls, **options: Any) -> AsyncIterator[Relay]:
        relay = cls(**options)
        await relay.come_back()
        try:
            yield relay
        finally:
            await relay.go_away()

    async def come_back(self) -> None:
        self.loop = asyncio.get_running_loop()
        name = "{channel:[-_a-zA-Z0-9]{12,64}}" if self.gosmee else "{channel:[-_a-zA-Z0-9]{1,128}}"
        app = web.Application(client_max_size=2**26, middlewares=[self._with_trouble])
        app.router.add_get("/new", self._new)
        app.router.add_get(f"/{name}", self._page if self.gosmee else self._smee_stream)
        app.router.add_post(f"/{name}", self._gosmee_post if self.gosmee else self._smee_post)
        if self.gosmee:
            app.router.add_get(f"/events/{name}", self._gosmee_stream)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def go_away(self) -> None:
        self.cut()
        if self._runner:
            await self._runner.cleanup()

    def cut(self) -> None:
        """Abort every stream."""
        for request in self._queues.values():
            if request.transport:
                request.transport.abort()

    def say(self, text: str) -> None:
        """Write `text` unchanged to every stream."""
        for queue in self._queues:
            if not (self.gosmee and queue.qsize() >= _GOSMEE_UNREAD):
                queue.put_nowait(text)

    async def until(self, streams: int, connections: int = 0) -> None:
        """Wait until this many streams are connected, and at least this many connections were made."""
        while len(self._queues) != streams or self.connections < connections:
            self._changed.clear()
            await self._changed.wait()

    @web.middleware
    async def _with_trouble(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.trouble in _REFUSALS:
            raise _REFUSALS[self.trouble]
        match self.trouble:
            case "page":
                return await self._page(request)
            case "leads-away":
                raise web.HTTPMovedPermanently(f"https://relay.example{request.path}")
            case "circles":
                raise web.HTTPTemporaryRedirect("/new")
            case "odd":
                return web.Response(text=f"http://[{'x' * 2**20}")
            case "hangs-up" if request.transport:
                request.transport.abort()
        return await handler(request)

    async def _new(self, request: web.Request) -> web.Response:
        if self.gosmee:
            return web.Response(text=f"{self.url}/{secrets.token_hex(6)}\n")
        raise web.HTTPTemporaryRedirect(f"http://{request.host}/{secrets.token_urlsafe(12)}")

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text="<!DOCTYPE html><title>Webhooks</title>", content_type="text/html")

    async def _smee_stream(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("accept") != "text/event-stream":
            return await self._page(request)
        number = 0

        async def write(event: str) -> None:
            nonlocal number
            await response.write(f"id: {number}\n{event}".encode())
            number += 1

        response = await self._begin(request)
        return await self._stream(
            request, response, write, hello=["event: ready\ndata: {}\n\n"], ping="event: ping\ndata: {}\n\n"
        )

    async def _gosmee_stream(self, request: web.Request) -> web.StreamResponse:
        async def write(event: str) -> None:
            await response.write(event.encode())

        response = await self._begin(request)
        hello = ['data: {"message":"connected"}\n\n', 'data: {"message":"ready"}\n\n']
        if self.trouble == "mute":
            await write(hello[0])
        return await self._stream(request, response, write, hello=hello, ping=": keepalive\n\n")

    @staticmethod
    async def _begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        await response.prepare(request)
        return response

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, write: Write, *, hello: list[str], ping: str
    ) -> web.StreamResponse:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._queues[queue] = request
        self.connections += 1
        self._changed.set()
        try:
            for event in hello if self.trouble != "mute" else ():
                await write(event)
            while self.trouble != "ends":
                try:
                    event = await asyncio.wait_for(queue.get(), self.ping_s)
                except TimeoutError:
                    event = ping
                await write(event)
        except ConnectionError:
            pass
        finally:
            del self._queues[queue]
            self._changed.set()
        return response

    def _publish(self, data: str) -> None:
        if self.trouble != "deaf":
            self.say(f"data: {data}\n\n")

    async def _smee_post(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if len(body) > 2**20:
            raise web.HTTPRequestEntityTooLarge(2**20, len(body))
        if (delivery := request.headers.get("x-github-delivery")) and not _is_uuid(delivery):
            raise web.HTTPBadRequest
        try:
            text = stringify(body.decode())
        except (NotJson, UnicodeDecodeError):
            raise web.HTTPBadRequest from None
        if not text.startswith("{") or re.search(r'"__proto__"\s*:', text):
            raise web.HTTPBadRequest
        fields = _flat(request)
        for own in ("body", "query", "timestamp"):
            fields.pop(own, None)
        query = {name: many if len(many := request.query.getall(name)) > 1 else many[0] for name in request.query}
        head = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:-1]
        tail = f'"query":{json.dumps(query, separators=(",", ":"))},"timestamp":{int(time.time() * 1000)}'
        self._publish(f'{{{head},"body":{text},{tail}}}')
        return web.Response()

    async def _gosmee_post(self, request: web.Request) -> web.Response:
        body = await request.read()
        if "application/json" not in request.headers.get("content-type", ""):
            raise web.HTTPBadRequest
        if len(body) > 25 * 2**20:
            raise web.HTTPRequestEntityTooLarge(25 * 2**20, len(body))
        try:
            json.loads(body)
        except ValueError:
            raise web.HTTPBadRequest from None
        # Go stores the host separately, and each header's values: it sends the first value.
        fields: dict[str, Any] = {}
        for name, value in request.raw_headers:
            if name.lower() != b"host":
                fields.setdefault(name.decode().lower(), value.decode("utf-8", "replace"))
        fields |= {"timestamp": str(int(time.time() * 1000)), "bodyB": base64.b64encode(body).decode()}
        self._publish(json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
        return web.json_response({"status": 202, "message": "ok"}, status=202)


def _flat(request: web.Request) -> dict[str, Any]:
    """The headers in Node's format: names in lower case, Latin-1, repeated headers joined, `set-cookie` a list."""
    fields: dict[str, Any] = {}
    for raw_name, raw_value in request.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            fields.setdefault(name, []).append(value)
        else:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


@contextmanager
def relay_in_thread(**options: Any) -> Iterator[Relay]:
    """Serve in a thread with its own event loop. Call its methods there, with `loop.call_soon_threadsafe`."""
    relays: list[Relay] = []

    async def start() -> Callable[[], Awaitable[None]]:
        relays.append(Relay(**options))
        await relays[0].come_back()
        return relays[0].go_away

    with in_thread(start):
        yield relays[0]
