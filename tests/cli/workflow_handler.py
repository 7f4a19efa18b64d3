"""The handler of the example workflow `deploy_service`, without the checks of a real handler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpx
from aiohttp import web

from port_hook_cli.invocations.headers import Headers
from tests.servers import NO_TLS, application

_H = TypeVar("_H", bound="NodeHandler")


@contextmanager
def serving(handler: _H) -> Iterator[_H]:
    """Serve a handler at its `url` until the end of the context."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler.handle)
    with application(app) as handler.url:
        yield handler


class NodeHandler:
    """A handler that records its requests. `/builds/check` returns whether the build is ready."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes, Headers]] = []
        self.ready: Any = True
        self.status = 200
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        headers = Headers.from_raw(request.raw_headers)
        self.requests.append((request.path, await request.read(), headers))
        if request.path == "/builds/check":
            return web.json_response({"ready": self.ready}, status=self.status)
        return web.Response(status=202)

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]


class Reporting(NodeHandler):
    """A handler that reports its asynchronous node to the sandbox, as `result`, unless that is None, after a `log`."""

    def __init__(self) -> None:
        super().__init__()
        self.api: Mapping[str, str] = {}
        self.result: str | None = "SUCCESS"
        self.log = ""
        self.tasks: list[asyncio.Task[None]] = []

    async def handle(self, request: web.Request) -> web.Response:
        response = await super().handle(request)
        if request.path == "/deploy" and self.result is not None:
            node_run_id = json.loads(self.requests[-1][1])["nodeRunId"]
            self.tasks.append(asyncio.create_task(self._report_while_there_is_a_sandbox(node_run_id)))
        return response

    async def _report_while_there_is_a_sandbox(self, node_run_id: str) -> None:
        with suppress(httpx.TransportError):  # the sandbox ends with its test
            await self.report(node_run_id)

    async def report(self, node_run_id: str) -> None:
        async with httpx.AsyncClient(base_url=self.api["PORT_API_URL"], verify=NO_TLS) as client:
            body = {"clientId": self.api["PORT_CLIENT_ID"], "clientSecret": self.api["PORT_CLIENT_SECRET"]}
            token = (await client.post("/v1/auth/access_token", json=body)).json()["accessToken"]
            report = {"status": "COMPLETED", "result": self.result, "output": {"runId": 7}}
            client.headers["authorization"] = f"Bearer {token}"
            path = f"/v1/workflows/nodes/runs/{node_run_id}"
            if self.log:
                await client.post(f"{path}/logs", json={"logs": [{"level": "WARN", "message": self.log}]})
            await client.patch(path, json=report)
