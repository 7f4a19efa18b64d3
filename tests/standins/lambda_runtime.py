"""A simulation of AWS's Runtime Interface Emulator: one function on this machine, behind the two APIs of Lambda.

`POST /2015-03-31/functions/function/invocations` hands the event to the function's runtime client, such as
awslambdaric, which polls `/2018-06-01/runtime/invocation/next`. It leaves out time limits, logs, several functions, and
initialization errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

_RUNTIME = "/2018-06-01/runtime/invocation"


class LambdaRuntime:
    """The events for the runtime client, and its responses. With `answer`, no client is needed."""

    def __init__(self, answer: Callable[[bytes], bytes] | None = None) -> None:
        self.events: list[bytes] = []
        self._answer = answer
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[bytes]] = {}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/2015-03-31/functions/function/invocations", self._invoke)
        app.router.add_get(f"{_RUNTIME}/next", self._next)
        app.router.add_post(f"{_RUNTIME}/{{id}}/response", self._finish)
        app.router.add_post(f"{_RUNTIME}/{{id}}/error", self._finish)
        app.on_shutdown.append(self._release)
        return app

    async def _release(self, _: web.Application) -> None:
        """Respond to the polling runtime client, because the server waits for its requests when it ends."""
        await self._waiting.put(None)

    async def _invoke(self, request: web.Request) -> web.Response:
        event = await request.read()
        self.events.append(event)
        if self._answer is not None:
            return web.Response(body=self._answer(event))
        name = str(len(self.events))
        self._answers[name] = asyncio.get_running_loop().create_future()
        await self._waiting.put(name)
        return web.Response(body=await self._answers[name])

    async def _next(self, _: web.Request) -> web.Response:
        name = await self._waiting.get()
        if name is None:
            return web.Response(status=410)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": name,
            "Lambda-Runtime-Deadline-Ms": "9999999999999",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:local:0:function:function",
        }
        return web.Response(body=self.events[int(name) - 1], headers=headers, content_type="application/json")

    async def _finish(self, request: web.Request) -> web.Response:
        self._answers[request.match_info["id"]].set_result(await request.read())
        return web.Response(status=202)
