"""The question before `agent --poll --send` takes runs away from a running agent, and polling while Port fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.agent_view.mappings import StreamMappings
from port_hook_cli.agent_view.plan import AgentPlan, StreamPlan
from port_hook_cli.agent_view.polling import Polling, confirm_claims
from port_hook_cli.agent_view.session import AgentSession
from port_hook_cli.agent_view.streaming import MessageStream
from port_hook_cli.engines.agent_jq import AgentJq
from port_hook_cli.errors import ExitCode, PortApiError, UsageError
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.prediction.mapping import AgentMapping
from port_hook_cli.prediction.message import AgentTransport, AgentVersion
from port_hook_cli.runtime import Runtime
from tests.factories import SECRET
from tests.port_clients import port_client
from tests.servers import application

PORT = "https://api.port.io"


class Asked:
    """Answers questions, and records them."""

    def __init__(self, answer: bool) -> None:
        self._answer, self.questions = answer, list[str]()

    async def __call__(self, question: str) -> bool:
        self.questions.append(question)
        return self._answer


def a_plan(*, take_over: bool = True, yes: bool = False) -> StreamPlan:
    return StreamPlan(transport=AgentTransport.POLLING, take_over=take_over, yes=yes)


async def test_runs_are_claimed_from_port_only_after_a_yes() -> None:
    user = Asked(True)
    await confirm_claims(PORT, a_plan(), can_ask=True, ask=user)
    (question,) = user.questions
    assert (
        "claims runs from https://api.port.io, so a running execution agent does not get them. Take over?" in question
    )
    with pytest.raises(UsageError, match=r"^No run was claimed\.$"):
        await confirm_claims(PORT, a_plan(), can_ask=True, ask=Asked(False))


async def test_runs_are_not_claimed_from_port_without_take_over_or_someone_to_ask() -> None:
    with pytest.raises(UsageError, match="does not get them") as caught:
        await confirm_claims(PORT, a_plan(take_over=False), can_ask=True, ask=Asked(True))
    assert "add --take-over" in caught.value.hint
    with pytest.raises(UsageError, match="there is no terminal"):
        await confirm_claims(PORT, a_plan(), can_ask=False, ask=Asked(True))


@pytest.mark.parametrize(
    ("api_url", "plan"), [("http://127.0.0.1:8790", a_plan(take_over=False)), (PORT, a_plan(yes=True))]
)
async def test_nothing_is_asked_for_a_sandbox_or_with_yes(api_url: str, plan: StreamPlan) -> None:
    await confirm_claims(api_url, plan, can_ask=False, ask=Asked(False))


# Polling while Port fails.


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


async def polled(url: str, runtime: Runtime, *, count: int) -> ExitCode:
    """Poll without pauses until `count` runs are shown, for 20 seconds at most."""
    stream_plan = StreamPlan(transport=AgentTransport.POLLING, count=count)
    plan = AgentPlan(
        source=stream_plan, mapping=None, transport=None, version=AgentVersion.LATEST, response=None, status=None,
        variables=(), raw=False, watch=False, send=False, to=None, to_its_url=False, report=False, timeout_s=10,
        api_timeout_s=10, json=True,
        store=None, org=None, secret_file=None, insecure_api=False,
    )  # fmt: skip
    settings = Settings(client_id="id", client_secret=SECRET, api_url=url)
    with AgentJq({}) as jq:
        session = AgentSession(plan=plan, runtime=runtime, settings=settings, variables={}, responses=(), jq=jq)
        async with port_client(api_url=url, client_id="id", client_secret=SECRET, max_tries=1) as api:
            stream = MessageStream(
                session, stream_plan, StreamMappings((AgentMapping(place="the mapping"),), None), None
            )
            async with asyncio.timeout(20):
                return await Polling(session, stream_plan, stream, api, interval_s=0).run()


def printed(runtime: Runtime) -> tuple[list[str], list[str]]:
    """Return the ids of the runs that were shown, and the warnings."""
    out, err = (stream.buffer.getvalue().decode() for stream in (runtime.stdout, runtime.stderr))  # type: ignore[attr-defined]
    return [json.loads(line)["run_id"] for line in out.splitlines()], [
        line for line in err.splitlines() if line.startswith("warning")
    ]


async def test_polling_continues_and_reports_each_outage_once_when_port_cannot_be_reached(
    runtime: Callable[..., Runtime],
) -> None:
    world = runtime()
    with a_port([["r_1"], None, None, None, ["r_1"], None, 403, 403, ["r_1", "r_2"]]) as url:
        code = await polled(url, world, count=2)
    shown, warnings = printed(world)
    assert (code, shown) == (ExitCode.OK, ["r_1", "r_2"])
    unreachable = f"warning: Port's API at {url} could not be reached: Server disconnected without sending a response."
    assert warnings[:2] == [f"{unreachable} Trying again."] * 2
    assert [" 403" in line for line in warnings[2:]] == [True]


async def test_polling_does_not_start_when_port_cannot_be_reached(runtime: Callable[..., Runtime]) -> None:
    with a_port([None]) as url, pytest.raises(PortApiError, match="could not be reached"):
        await polled(url, runtime(), count=1)
