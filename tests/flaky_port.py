"""A fake of Port's API that fails on command.

It knows one run with its log, actions, workflows, tokens and the routes that reporting and retargeting use. Its limit:
it doesn't check bodies. Faults are taken from `script` in order, one per call other than the token's, which has its own
`token_script`. None lets a call through.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.servers import in_thread


@dataclass(frozen=True)
class Fault:
    """Respond with `status`, or close the connection, `after` the call took effect or before.

    With a `gate`, the call only waits for it.
    """

    status: int = 0
    body: bytes = b'{"ok":false,"error":"internal_error","message":"An internal error occurred"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    lose: bool = False
    hang: bool = False
    after: bool = False
    gate: asyncio.Event | None = None


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    token: str
    body: Any


class FlakyPort:
    def __init__(self, script: tuple[Fault | None, ...] = (), token_script: tuple[Fault | None, ...] = ()) -> None:
        self.url = ""
        self.script = deque(script)
        self.token_script = deque(token_script)
        self.run: dict[str, Any] = {"id": "r_QOz6WoOB1Q2lmhZZ", "status": "IN_PROGRESS"}
        self.logs: list[str] = []
        self.actions: dict[str, dict[str, Any]] = {}
        self.workflows: dict[str, dict[str, Any]] = {}
        self.calls: list[Seen] = []
        self.tokens: list[str] = []
        self.token_name = "token"
        self.good: set[str] = set()
        self.expires_in: Any = 3600
        self.hanging = asyncio.Event()
        self._end = asyncio.Event()

    @property
    def lines(self) -> list[str]:
        return [f"{call.method} {call.path.partition('?')[0].removeprefix('/v1/actions/runs/')}" for call in self.calls]

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FlakyPort]:
        app = web.Application(client_max_size=2**22)
        app.router.add_post("/v1/auth/access_token", self._give_token)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self._end.set()
            await runner.cleanup()

    async def _give_token(self, request: web.Request) -> web.Response:
        fault = self.token_script.popleft() if self.token_script else None
        if fault:
            return await self._fail(request, fault)
        token = f"{self.token_name}-{len(self.tokens)}"
        self.tokens.append(token)
        self.good.add(token)
        return web.json_response({"accessToken": token, "expiresIn": self.expires_in, "tokenType": "Bearer"})

    async def _answer(self, request: web.Request) -> web.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        text = await request.text()
        self.calls.append(Seen(request.method, request.raw_path, token, json.loads(text) if text else None))
        if token not in self.good:
            return web.json_response({"ok": False, "error": "unauthorized", "message": "jwt expired"}, status=401)
        fault = self.script.popleft() if self.script else None
        if fault is None:
            return self._take(request, self.calls[-1].body)
        if fault.gate:
            self.hanging.set()
            await fault.gate.wait()
            return self._take(request, self.calls[-1].body)
        if fault.after:
            self._take(request, self.calls[-1].body)
        return await self._fail(request, fault)

    def _take(self, request: web.Request, body: Any) -> web.Response:
        identifier = request.path.removeprefix("/v1/actions/")
        if identifier in self.actions:
            if request.method == "PUT":
                self.actions[identifier] = {"id": self.actions[identifier]["id"], **body}
            return web.json_response({"ok": True, "action": self.actions[identifier]})
        workflow = request.path.removeprefix("/v1/workflows/")
        if workflow in self.workflows:
            if request.method == "PUT":
                self.workflows[workflow] = dict(body)
            return web.json_response({"ok": True, "workflow": self.workflows[workflow]})
        if request.method == "GET":
            return web.json_response({"ok": True, "run": self.run, "runLogs": self._log_page(request)})
        if self.run["status"] != "IN_PROGRESS":
            slug = {"ok": False, "error": "run_exhausted", "message": "Action run already finished execution"}
            return web.json_response(slug, status=422)
        if request.path.endswith("/logs"):
            self.logs += [body["message"]] if "message" in body else [log["message"] for log in body["logs"]]
        self.run |= {key: value for key, value in body.items() if key == "status"}
        return web.json_response({"ok": True, "run": self.run})

    def _log_page(self, request: web.Request) -> list[dict[str, str]]:
        start = int(request.query.get("offset", "0"))
        return [{"message": message} for message in self.logs[start : start + 50]]

    async def _fail(self, request: web.Request, fault: Fault) -> web.Response:
        if fault.hang:
            self.hanging.set()
            await self._end.wait()
        if fault.lose and request.transport:
            request.transport.abort()
        return web.Response(status=fault.status or 500, body=fault.body, headers=fault.headers)


@contextmanager
def a_flaky_port(script: tuple[Fault | None, ...] = ()) -> Iterator[FlakyPort]:
    """Serve a fake in a thread, for synchronous tests."""
    port = FlakyPort(script)

    async def start() -> Callable[[], Awaitable[None]]:
        stack = AsyncExitStack()
        await stack.enter_async_context(port.serve())
        return stack.aclose

    with in_thread(start):
        yield port


def environ_of_flaky(port: FlakyPort) -> dict[str, str]:
    """Return the environment with which port-hook uses the fake."""
    return {"PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": "secret-of-the-test", "PORT_API_URL": port.url}
