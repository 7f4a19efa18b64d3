"""The inspector's own HTTP server: the page, its files, and the API behind it. It listens on loopback only."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from port_hook_cli.errors import ListenError, PortHookError
from port_hook_cli.http.disabled_logger import disabled_logger
from port_hook_cli.inspector.access import (
    CHANGE_HEADER,
    COOKIE,
    SECURITY_HEADERS,
    Asker,
    Refusal,
    foreign_refusal,
    is_token,
    refusal,
)
from port_hook_cli.inspector.api import Inspector
from port_hook_cli.inspector.json_levels import NoSuchValue
from port_hook_cli.inspector.sending import BadJson

HOST = "127.0.0.1"
MAX_BODY = 16 * 1024 * 1024
MAX_STREAMS = 16
MAX_URL = 8_190

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_WRITE_TIMEOUT_S = 10.0
_DRAIN_S = 0.2
_GONE_S = 0.25
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class OpenInspector:
    """A running inspector: `url` has the token, `port` is its port on loopback."""

    url: str = field(repr=False)
    port: int


@asynccontextmanager
async def serving(inspector: Inspector, *, port: int = 0) -> AsyncIterator[OpenInspector]:
    """Serve the page on loopback until the context ends; raises ListenError. Port 0 is any free port."""
    token = secrets.token_urlsafe(32)
    app = _application(inspector, token)
    runner = web.AppRunner(
        app, access_log=None, logger=disabled_logger(), shutdown_timeout=_DRAIN_S, max_line_size=MAX_URL
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise ListenError(
                f"The inspector cannot listen on port {port}: {error.strerror or error}.",
                hint="Choose another with --inspect-port, or leave it out for any free port.",
            ) from error
        bound = int(runner.addresses[0][1])
        inspector.own_ports = frozenset({bound})
        yield OpenInspector(f"http://{HOST}:{bound}/?token={token}", bound)
    finally:
        await runner.cleanup()


def _application(inspector: Inspector, token: str) -> web.Application:
    app = web.Application(middlewares=[_guard(token)], client_max_size=MAX_BODY)
    routes = _Routes(inspector)
    app.router.add_get("/", _entry)
    app.router.add_get("/page/{name:[a-z/_.-]+}", _file)
    app.router.add_get("/api/events", routes.events)
    app.router.add_get("/api/session", routes.with_query(inspector.show_session))
    for method, path, handler in (
        ("GET", "/api/captures", inspector.captures_page),
        ("GET", "/api/spans", inspector.spans),
        ("GET", "/api/histogram", inspector.histogram),
        ("GET", "/api/compare", inspector.compare),
        ("GET", "/api/actions", inspector.actions),
    ):
        app.router.add_route(method, path, routes.with_query(handler))
    app.router.add_get("/api/captures/{id}", routes.of_one(inspector.capture))
    app.router.add_get("/api/captures/{id}/tree", routes.of_one(inspector.tree))
    app.router.add_get("/api/captures/{id}/body", routes.body)
    app.router.add_get("/api/captures/{id}/export/{format}", routes.export)
    app.router.add_post("/api/captures/{id}/replay", routes.change(inspector.replay))
    app.router.add_post("/api/captures/{id}/decrypt", routes.change(inspector.decrypt))
    app.router.add_get("/api/runs/{id}", routes.of_one(inspector.run))
    app.router.add_post("/api/runs/{id}/report", routes.change(inspector.report))
    app.router.add_post("/api/actions/{id}/trigger", routes.change(inspector.trigger))
    return app


def _guard(token: str) -> Any:
    """Return the middleware that refuses everyone but the user's browser, and adds the security headers."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        asker = _asker(request)
        if request.path == "/" and "token" in request.query:
            return _admit(request, asker, token)
        refused = refusal(asker, token)
        if refused:
            return _refused(refused)
        response = await _told(request, handler)
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    return guard


async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return the handler's response, or one that says what is wrong."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, f"{error.reason}.", "See docs/reference/inspector-api.md.")
    except BadJson as error:
        return _error(400, error.message, error.hint, line=error.line, column=error.column)
    except PortHookError as error:
        return _error(400, error.message, error.hint)
    except NoSuchValue as error:
        return _error(404, f"The body has nothing at {error}.", "Load the capture again.")
    except ValueError as error:
        return _error(400, f"The body cannot be shown as a tree: {error}.", "Look at the raw bytes.")


def _asker(request: web.Request) -> Asker:
    headers = request.headers
    return Asker(
        method=request.method,
        host=headers.get("host"),
        origin=headers.get("origin"),
        site=headers.get("sec-fetch-site"),
        authorization=headers.get("authorization"),
        cookie=request.cookies.get(_cookie_name(request)),
        change=headers.get(CHANGE_HEADER),
        content_type=headers.get("content-type"),
    )


def _cookie_name(request: web.Request) -> str:
    """Return the cookie's name: cookies do not know ports, so that two inspectors must not share one."""
    port = urlsplit(f"//{request.host}").port
    return f"{COOKIE}_{port or 0}"


def _admit(request: web.Request, asker: Asker, token: str) -> web.StreamResponse:
    refused = _foreign_entry(asker)
    if refused is None and not is_token(request.query["token"], token):
        refused = Refusal(403, "This token is not valid (any more).", "Open the URL that port-hook printed last.")
    if refused:
        return _refused(refused)
    response = web.Response(status=303, headers={"location": _clean_address(request), **SECURITY_HEADERS})
    response.set_cookie(_cookie_name(request), token, httponly=True, samesite="Strict", path="/")
    return response


def _foreign_entry(asker: Asker) -> Refusal | None:
    """Return why the entry is refused: a user may follow its link from anywhere, but only to this host."""
    return foreign_refusal(Asker(asker.method, host=asker.host))


def _clean_address(request: web.Request) -> str:
    """Return the address without the token, with the rest of the page's state."""
    rest = request.rel_url.query.copy()
    rest.popall("token")
    return str(request.rel_url.with_query(rest))


def _refused(refused: Refusal) -> web.Response:
    return _error(refused.status, refused.message, refused.hint)


def _error(status: int, text: str, hint: str, **fields: Any) -> web.Response:
    content = json.dumps({"error": text, "hint": hint, **fields})
    return web.Response(status=status, text=content, content_type="application/json", headers=dict(SECURITY_HEADERS))


def _json(document: Mapping[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(document), content_type="application/json")


async def _entry(_: web.Request) -> web.StreamResponse:
    return _page_file("index.html")


async def _file(request: web.Request) -> web.StreamResponse:
    return _page_file(request.match_info["name"])


def _page_file(name: str) -> web.StreamResponse:
    """Return a file of the page; names that leave its folder are not found."""
    ending = Path(name).suffix
    if ".." in name or ending not in _TYPES:
        raise web.HTTPNotFound
    try:
        content = files("port_hook_cli.inspector").joinpath("page", name).read_bytes()
    except OSError as error:
        raise web.HTTPNotFound from error
    return web.Response(body=content, headers={"content-type": _TYPES[ending]})


class _Routes:
    """Handlers of aiohttp around the inspector's methods, which know nothing of HTTP."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._streams = 0

    def with_query(self, method: Callable[[Any], Awaitable[Mapping[str, Any]]]) -> Handler:
        """Return the handler for a method that takes query parameters."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return _json(await method(request.query))

        return handle

    def of_one(self, method: Callable[[str, Any], Awaitable[Mapping[str, Any]]]) -> Handler:
        """Return the handler for a method that takes an id and query parameters."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return _json(await method(request.match_info["id"], request.query))

        return handle

    def change(self, method: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]) -> Handler:
        """Return the handler for a method that takes an id and a JSON object."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                body = await request.json() if request.can_read_body else {}
            except (ValueError, RecursionError) as error:
                raise web.HTTPBadRequest(reason="The body is not JSON") from error
            if not isinstance(body, dict):
                raise web.HTTPBadRequest(reason="The body is not a JSON object")
            return _json(await method(request.match_info["id"], body))

        return handle

    async def body(self, request: web.Request) -> web.StreamResponse:
        """Return the exact bytes of a part of a capture, never as something that a browser shows."""
        part = request.query.get("part", "request")
        content = await self._inspector.body(request.match_info["id"], part)
        disposition = f'attachment; filename="{part if part.isalpha() else "body"}.bin"'
        headers = {"content-type": "application/octet-stream", "content-disposition": disposition}
        return web.Response(body=content, headers=headers)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Return a capture in another tool's format."""
        found = await self._inspector.export(request.match_info["id"], request.match_info["format"])
        if found is None:
            raise web.HTTPNotFound(reason="There is no such format")
        return _json(found)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream server-sent events until the page goes away or reads nothing for 10 seconds."""
        if self._streams >= MAX_STREAMS:
            raise web.HTTPTooManyRequests(reason="Too many pages are open")
        last = request.headers.get("last-event-id") or request.query.get("after")
        after = int(last) if last and last.isascii() and last.isdigit() and len(last) < 16 else None  # noqa: PLR2004
        headers = {"content-type": "text/event-stream; charset=utf-8", **SECURITY_HEADERS}
        response = web.StreamResponse(headers=headers)
        self._streams += 1
        try:
            await response.prepare(request)

            async def send(content: bytes) -> None:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await response.write(content)

            await _until_gone(self._inspector.stream(request.query, after, send), request)
        finally:
            self._streams -= 1
        return response


async def _until_gone(stream: Awaitable[None], request: web.Request) -> None:
    """Await `stream` until it ends or the client has closed its connection, which a silent stream does not notice."""
    task = asyncio.ensure_future(stream)
    try:
        while not task.done() and request.transport is not None and not request.transport.is_closing():
            await asyncio.wait({task}, timeout=_GONE_S)
    finally:
        task.cancel()
        with suppress(ConnectionError, TimeoutError, asyncio.CancelledError):
            await task
