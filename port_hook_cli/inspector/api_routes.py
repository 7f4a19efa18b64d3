"""The inspector's API over HTTP: aiohttp handlers that call the methods of `Inspector`, which doesn't use HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any

from aiohttp import web

from port_hook_cli.errors import PortHookError
from port_hook_cli.inspector.access import SECURITY_HEADERS
from port_hook_cli.inspector.api import Inspector
from port_hook_cli.inspector.page_files import json_response
from port_hook_cli.inspector.page_hints import hint_of
from port_hook_cli.javascript.values import read_json

MAX_STREAMS = 16
_MAX_DIGITS = 15
_WRITE_TIMEOUT_S = 10.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def error_response(status: int, text: str, hint: str, **fields: Any) -> web.Response:
    """Return a response that contains the error and the next step."""
    content = json.dumps({"error": text, "hint": hint, **fields})
    return web.Response(status=status, text=content, content_type="application/json", headers=dict(SECURITY_HEADERS))


class ApiRoutes:
    """The API's HTTP handlers, with their open streams and their changes in progress."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._streams: set[asyncio.Task[Any]] = set()
        self._checks: set[asyncio.Task[Any]] = set()
        self._changes: set[asyncio.Task[Mapping[str, Any]]] = set()

    async def close(self, _: web.Application) -> None:
        """Cancel the changes in progress."""
        for task in self._changes:
            task.cancel()
        await asyncio.gather(*self._changes, return_exceptions=True)

    def end_streams(self) -> None:
        """End the event streams and the check, because the token that opened them is no longer valid."""
        for stream in self._streams | self._checks:
            stream.cancel()

    def with_query(self, method: Callable[[Any], Awaitable[Mapping[str, Any]]]) -> Handler:
        """Return the handler for a method that takes query parameters."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await json_response(await method(request.query))

        return handle

    def of_one(self, method: Callable[[str, Any], Awaitable[Mapping[str, Any]]]) -> Handler:
        """Return the handler for a method that takes an ID and query parameters."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await json_response(await method(request.match_info["id"], request.query))

        return handle

    def change(self, method: Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, Mapping[str, Any]]]) -> Handler:
        """Return the handler for a method that takes an ID and a JSON object."""

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await _object(request)
            return await json_response(await self._to_its_end(method(request.match_info.get("id", ""), body)))

        return handle

    async def _to_its_end(self, change: Coroutine[Any, Any, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Await a change. The change continues even if the page no longer waits for it."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def body(self, request: web.Request) -> web.StreamResponse:
        """Return the raw bytes of a part of a capture, as a download that a browser never renders."""
        part = request.query.get("part", "request")
        content = await self._inspector.body(request.match_info["id"], part)
        disposition = f'attachment; filename="{part if part.isalpha() else "body"}.bin"'
        headers = {"content-type": "application/octet-stream", "content-disposition": disposition}
        return web.Response(body=content, headers=headers)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Return a capture in the format of another tool."""
        found = await self._inspector.export(request.match_info["id"], request.match_info["format"], request.query)
        if found is None:
            raise web.HTTPNotFound(reason="The format is unknown")
        return await json_response(found)

    async def json_problem(self, request: web.Request) -> web.StreamResponse:
        """Return the position of a JSON error. A page may abandon the request by disconnecting."""
        return await json_response(await self._inspector.json_problem(await _object(request)))

    async def check(self, request: web.Request) -> web.StreamResponse:
        """Stream the records of a check, one per line. If the page disconnects, the check ends.

        An error before the first record sets the status of the response. A later error is the last record.
        """
        body = await _object(request)
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson", **SECURITY_HEADERS})
        stream = asyncio.current_task()
        assert stream is not None
        self._checks.add(stream)
        try:
            async with aclosing(self._inspector.check(body)) as records:
                first = await anext(records)
                await response.prepare(request)
                with suppress(ConnectionError, TimeoutError):
                    await _write_line(response, first)
                    await _write_lines(response, records)
        finally:
            self._checks.discard(stream)
        return response

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream server-sent events until the page closes the connection or stops reading for 10 seconds."""
        if len(self._streams) >= MAX_STREAMS:
            raise web.HTTPTooManyRequests(reason="Too many pages are open")
        query = self._inspector.query(request.query)
        after = _number(request.headers.get("last-event-id") or request.query.get("after"))
        headers = {"content-type": "text/event-stream; charset=utf-8", **SECURITY_HEADERS}
        response = web.StreamResponse(headers=headers)
        stream = asyncio.current_task()
        assert stream is not None
        self._streams.add(stream)
        try:
            await response.prepare(request)

            async def send(content: bytes) -> None:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await response.write(content)

            position = request.query.get("position")
            with suppress(ConnectionError, TimeoutError):
                await self._inspector.feed.stream(query, after, send, position=position)
        finally:
            self._streams.discard(stream)
        return response


async def _object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request, or {} for an empty body."""
    content = await request.read()
    try:
        body = await asyncio.to_thread(lambda: read_json(content.decode("utf-8-sig"))) if content else {}
    except ValueError as error:
        raise web.HTTPBadRequest(reason="The body is not JSON") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="The body is not a JSON object")
    return body


async def _write_lines(response: web.StreamResponse, records: AsyncIterator[Mapping[str, Any]]) -> None:
    try:
        async for record in records:
            await _write_line(response, record)
    except PortHookError as error:
        await _write_line(response, {"type": "error", "error": error.message, "hint": hint_of(error)})


async def _write_line(response: web.StreamResponse, record: Mapping[str, Any]) -> None:
    async with asyncio.timeout(_WRITE_TIMEOUT_S):
        await response.write(json.dumps(record, allow_nan=False).encode() + b"\n")


def _number(text: str | None) -> int | None:
    """Return the number of a capture, or None for any other text."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None
