"""The handler that the demo forwards to, a typical asynchronous backend.

It accepts an invocation immediately, then logs to the run and reports it as SUCCESS.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from port_hook_cli.http.servers import disabled_logger
from port_hook_cli.invocations.models import Headers
from port_hook_cli.invocations.payload import read_payload

Work = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def sample_handler(work: Work) -> AsyncIterator[str]:
    """Serve the handler on a free loopback port and yield its URL; `work` gets the id of each accepted run."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(request: web.BaseRequest) -> web.StreamResponse:
        payload = read_payload(await request.read(), Headers.from_raw(request.raw_headers))
        if payload.run_id is None:
            return web.json_response({"ok": False, "error": "no run id"}, status=422)
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
