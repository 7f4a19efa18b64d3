"""HTTP for the sandbox: a server for its API, which rejects calls from web pages, and the handler of the demo."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import ListenError
from port_hook_cli.http.servers import (
    affordable_connections,
    describe_owner,
    disabled_logger,
    listening_sockets,
    serving,
)
from port_hook_cli.http.web_pages import find_web_page_request
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.runs.updates import REQUEST_LIMIT
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, from_web_page, read_request, too_large

if TYPE_CHECKING:
    from aiohttp import web

_DRAIN_S = 1.0
_MAX_CONNECTIONS = 1_024


@asynccontextmanager
async def listening(
    respond: Callable[[web.Request], Awaitable[web.Response]], address: tuple[str, int]
) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
    """Serve requests until the context ends. Yield the addresses, each of which begins with a host and a port.

    Raises ListenError if the address is taken or cannot be used.
    """

    def runner() -> web.AppRunner:
        from aiohttp import web

        app = web.Application(client_max_size=REQUEST_LIMIT)
        app.router.add_route("*", r"/{path:[\s\S]*}", respond)  # `.` would let a line feed through to aiohttp
        return web.AppRunner(app, access_log=None, logger=disabled_logger(), shutdown_timeout=_DRAIN_S)

    most = affordable_connections(_MAX_CONNECTIONS)
    sockets = _sockets(*address)
    async with serving(sockets, runner, most=most):
        yield [each.getsockname() for each in sockets]


def _sockets(host: str, port: int) -> Sequence[socket.socket]:
    try:
        return listening_sockets(host, port)
    except OSError as error:
        raise ListenError(
            f"The sandbox cannot listen on {host}:{port}: {_reason(error, host, port)}.",
            hint="Pass another --port, or 0 for a free port.",
        ) from error


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return error.strerror or str(error)
    owner = describe_owner(host, port)
    return f"the port is already in use by {owner}" if owner else "the port is already in use"


async def read_call(request: web.Request, *, checks_host: bool) -> ApiRequest | ApiResponse:
    """Return the call in a request, or the response that rejects the request."""
    from aiohttp import web

    names = ("host", "origin", "sec-fetch-site")
    found = find_web_page_request(*(request.headers.get(name) for name in names), names=(), checks_host=checks_host)
    if found is not None:
        return from_web_page(found)
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return too_large()
    except ConnectionError:
        return ApiResponse(status=400, document={"ok": False}, note="the caller disconnected during its request")
    fields = {name.lower(): value for name, value in reversed(tuple(request.headers.items()))}  # the first counts
    return read_request(request.method, request.raw_path, fields, body)


@asynccontextmanager
async def sample_handler(work: Callable[[str], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve a typical asynchronous handler on a free loopback port, and yield the URL of the handler.

    The handler accepts an invocation immediately. Then `work` gets the ID of the run, logs to the run, and reports the
    run as SUCCESS.
    """
    from aiohttp import web

    tasks: set[asyncio.Task[None]] = set()

    async def accept(request: web.BaseRequest) -> web.StreamResponse:
        payload = read_payload(await request.read(), Headers.from_raw(request.raw_headers))
        if payload.run_id is None:
            return web.json_response({"ok": False, "error": "no run ID"}, status=422)
        task = asyncio.ensure_future(work(payload.run_id))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return web.json_response({"accepted": payload.run_id}, status=202)

    runner = web.ServerRunner(web.Server(accept, access_log=None, logger=disabled_logger()))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
