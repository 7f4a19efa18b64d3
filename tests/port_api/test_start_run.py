"""Starting a run through Port's API: sent once, unless Port certainly has not processed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from port_hook_cli.errors import PortApiError
from tests.factories import RUN_ID, SECRET
from tests.port_clients import port_client


async def start(*answers: httpx.Response | Exception, **options: Any) -> tuple[Any, list[httpx.Request]]:
    """Start a run with a transport that returns a token, then `answers` in order."""
    left, requests = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/auth/access_token":
            return httpx.Response(200, json={"ok": True, "accessToken": "token", "expiresIn": 3600})
        requests.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    async def no_sleep(_: float) -> None:
        return None

    sleep: Callable[[float], Any] = no_sleep
    async with port_client(
        api_url="http://port",
        client_id="id",
        client_secret=SECRET,
        sleep=sleep,
        transport=httpx.MockTransport(answer),
    ) as port:
        try:
            return await port.start_run("create vm", {"properties": {"a": 1}}, **options), requests
        except PortApiError as problem:
            return problem, requests


STARTED = httpx.Response(202, json={"ok": True, "run": {"id": RUN_ID, "status": "IN_PROGRESS"}})


async def test_start_run_returns_the_new_run() -> None:
    run, (request,) = await start(STARTED, run_as="zoë+1@example.com")
    assert run == {"id": RUN_ID, "status": "IN_PROGRESS"}
    assert request.url.raw_path == b"/v1/actions/create%20vm/runs?run_as=zo%C3%AB%2B1%40example.com"
    assert request.content == b'{"properties":{"a":1}}'


async def test_start_run_is_retried_when_port_has_not_processed_it() -> None:
    firsts: list[httpx.Response | Exception] = [httpx.Response(429), httpx.ConnectError("refused")]
    for first in firsts:
        run, requests = await start(first, STARTED)
        assert (run["id"], len(requests)) == (RUN_ID, 2)


async def test_start_run_is_not_retried_when_the_run_may_have_started() -> None:
    firsts: list[httpx.Response | Exception] = [httpx.Response(502), httpx.ReadError("broke off")]
    for first in firsts:
        problem, requests = await start(first, STARTED)
        assert problem.message.startswith("port-hook does not know whether Port started a run of create vm.")
        assert len(requests) == 1


async def test_start_run_shows_ports_message() -> None:
    for status, expected in [(404, "Port has no action or automation create vm"), (422, "properties/a must be string")]:
        answer = httpx.Response(
            status, json={"ok": False, "error": "invalid", "message": "properties/a must be string"}
        )
        problem, _ = await start(answer)
        assert expected in problem.message


async def test_start_run_rejects_a_response_without_a_run_id() -> None:
    for run in [{}, {"id": ""}, {"id": 5}]:
        problem, _ = await start(httpx.Response(202, json={"ok": True, "run": run}))
        assert "not in the format of Port's API" in problem.message
