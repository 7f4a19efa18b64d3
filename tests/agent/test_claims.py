"""`ListedRuns`, the source of `agent --poll`, while Port fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.agent.claims import ListedRuns
from port_hook_cli.agent.mappings import StreamMappings
from port_hook_cli.agent.predictor import Predictor
from port_hook_cli.agent.stream import AgentEvent, Predicted, StreamEnd, stream
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import PortApiError
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.prediction import AgentSettings
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.remark import Remark
from tests.factories import SECRET
from tests.port_clients import port_client
from tests.servers import application


def a_run(run_id: str) -> dict[str, Any]:
    payload = {"type": "WEBHOOK", "url": "http://127.0.0.1:1/", "agent": True, "synchronized": True, "body": {}}
    return {"id": run_id, "payload": payload, "createdAt": "2025-01-01T00:00:00.000Z"}


@contextmanager
def a_port(answers: list[Sequence[str] | int | None]) -> Iterator[str]:
    """Run a stand-in for Port's API that responds to each request for runs with the next of `answers`.

    A list has the IDs of the runs, and a number is the status of a failure. For None, it closes the connection.
    """

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"accessToken": "t", "expiresIn": 3600, "tokenType": "Bearer"})

    async def runs(request: web.Request) -> web.Response:
        answer = answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
        if answer is None or isinstance(answer, int):
            return web.json_response({"ok": False, "error": "down", "message": "No."}, status=answer or 500)
        return web.json_response({"ok": True, "runs": [a_run(run_id) for run_id in answer]})

    app = web.Application()
    app.router.add_post("/v1/auth/access_token", token)
    app.router.add_get("/v1/actions/runs", runs)
    with application(app) as url:
        yield url


async def polled(url: str, runtime: Runtime, *, count: int) -> tuple[StreamEnd, list[str], list[str]]:
    """Poll without pauses for `count` runs, 20 seconds at most; return the end, the ids of the runs, the remarks."""
    events: list[AgentEvent] = []
    mappings = StreamMappings((AgentMapping(place="the mapping"),))
    with AgentJq({}) as jq:
        predictor = Predictor(settings=AgentSettings(secret=SECRET), variables={}, jq=jq, runtime=runtime)
        client = port_client(api_url=url, client_id="id", client_secret=SECRET, max_tries=1)
        async with client as api, asyncio.timeout(20):
            end = await stream(ListedRuns(api, 0), predictor, mappings, None, count, events.append)
    shown = [str(event.shown.prediction.message.run_id) for event in events if isinstance(event, Predicted)]
    return end, shown, [event.line for event in events if isinstance(event, Remark)]


async def test_polling_continues_and_reports_each_outage_once_when_port_cannot_be_reached(
    runtime: Callable[..., Runtime],
) -> None:
    with a_port([["r_1"], None, None, None, ["r_1"], None, 403, 403, ["r_1", "r_2"]]) as url:
        end, shown, warnings = await polled(url, runtime(), count=2)
    assert (end.failure, shown) == (None, ["r_1", "r_2"])
    unreachable = f"warning: Port's API at {url} could not be reached: Server disconnected without sending a response."
    assert warnings[:2] == [f"{unreachable} Trying again."] * 2
    assert [" 403" in line for line in warnings[2:]] == [True]


async def test_polling_does_not_start_when_port_cannot_be_reached(runtime: Callable[..., Runtime]) -> None:
    with a_port([None]) as url, pytest.raises(PortApiError, match="could not be reached"):
        await polled(url, runtime(), count=1)
