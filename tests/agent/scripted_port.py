"""Port's API with scripted responses, for the calls of an agent that polls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiohttp import web

from tests.servers import application

LIST = "GET /v1/actions/runs"
TOKEN = {"accessToken": "t", "expiresIn": 3600, "tokenType": "Bearer"}
RUN, OTHER = "r_QOz6WoOB1Q2lmhZZ", "r_QOz6WoOB1Q2lmhZY"
ELSEWHERE = "https://hooks.internal.example/vm"
LOST: Any = object()
"""The response of a call whose connection is lost."""


@dataclass
class ScriptedPort:
    """Each call gets the next response of its route, and then always the last one. A number is a status.

    Routes without responses get 404.
    """

    responses: Mapping[str, Sequence[Any]]
    url: str = ""
    moments: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def environ(self) -> dict[str, str]:
        return {"PORT_API_URL": self.url, "PORT_CLIENT_ID": "id", "PORT_CLIENT_SECRET": "0123456789abcdef"}

    async def respond(self, request: web.Request) -> web.StreamResponse:
        route = f"{request.method} {request.path}"
        self.moments[route].append(monotonic())
        if request.path == "/v1/auth/access_token":
            return web.json_response(TOKEN)
        script = self.responses.get(route, [404])
        found = script[min(len(self.moments[route]), len(script)) - 1]
        if found is LOST:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(found, int):
            return web.json_response({"ok": False, "error": "down", "message": "No."}, status=found)
        return web.json_response(found)


@contextmanager
def scripted_port(responses: Mapping[str, Sequence[Any]]) -> Iterator[ScriptedPort]:
    port = ScriptedPort(responses)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", port.respond)
    with application(app) as port.url:
        yield port


def a_run(url: str = ELSEWHERE, run_id: str = RUN) -> dict[str, Any]:
    payload = {"type": "WEBHOOK", "url": url, "agent": True, "synchronized": True, "body": {"id": run_id}}
    return {"id": run_id, "payload": payload}


def runs(*given: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "runs": list(given)}
