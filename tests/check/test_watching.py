from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from aiohttp import web

from port_hook_cli.check.effects import effects, endings
from port_hook_cli.check.watching import OwnSandboxWatch, SandboxWatch
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runs.seen_calls import SeenCall
from port_hook_cli.runtime import Runtime
from port_hook_cli.sandbox import CallRate, Sandbox
from port_hook_cli.sandbox.call_log import CallIntent
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, RUN_ID
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with
from tests.servers import application

RUN = f"/v1/actions/runs/{RUN_ID}"
OTHER = "r_" + "0" * 16
LONG_S = 30.0


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(strict_runs=True, runs=[RUN_ID]) as running:
        yield running


@pytest.fixture
async def handler(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """What the handler calls the sandbox with."""
    async with a_client(sandbox) as client:
        yield client


def access_of(sandbox: Sandbox, runtime: Callable[..., Runtime]) -> PortAccess:
    settings = Settings(client_id=sandbox.client_id, client_secret=sandbox.client_secret, api_url=sandbox.url)
    return PortAccess.known(settings, runtime())


@pytest.fixture
async def http_watch(sandbox: Sandbox, runtime: Callable[..., Runtime]) -> AsyncIterator[SandboxWatch]:
    async with SandboxWatch.open(access_of(sandbox, runtime)) as watch:
        yield watch


@pytest.fixture(params=["http", "own"])
def watch(request: pytest.FixtureRequest, sandbox: Sandbox, http_watch: SandboxWatch) -> SandboxWatch:
    return http_watch if request.param == "http" else OwnSandboxWatch(sandbox)


def has_ended(calls: Sequence[SeenCall]) -> bool:
    return bool(endings(calls, RUN_ID))


def add_call(sandbox: Sandbox) -> None:
    sandbox.call_log.add(CallIntent(), at=NOW, method="GET", path=RUN, status=200, run_id=RUN_ID)


async def test_wait_returns_the_calls_after_the_mark_when_its_condition_is_met(
    watch: SandboxWatch, handler: httpx.AsyncClient
) -> None:
    await handler.patch(RUN, json={"summary": "before"})
    mark = await watch.mark()
    counted: list[int] = []

    def is_so(calls: Sequence[SeenCall]) -> bool:
        counted.append(len(calls))
        return has_ended(calls)

    waiting = asyncio.create_task(watch.wait_for(is_so, mark, LONG_S))
    await handler.post(f"{RUN}/logs", json={"message": "working"})
    assert not waiting.done()
    await handler.patch(RUN, json={"status": "SUCCESS"})
    calls = await asyncio.wait_for(waiting, LONG_S)
    assert [(call.number, call.method, call.ends) for call in calls] == [
        (mark + 1, "POST", ""),
        (mark + 2, "PATCH", "SUCCESS"),
    ]
    assert counted[-1] == 2
    assert watch.problem is None


async def test_wait_returns_all_calls_when_the_time_is_over(watch: SandboxWatch, handler: httpx.AsyncClient) -> None:
    mark = await watch.mark()
    await handler.patch(RUN, json={"summary": "working"})
    for timeout_s in (0, 0.05):
        calls = await watch.wait_for(has_ended, mark, timeout_s)
        assert [call.path for call in calls] == [RUN]
    assert watch.problem is None


async def test_call_during_the_last_pause_is_seen(sandbox: Sandbox, http_watch: SandboxWatch) -> None:
    looks: list[int] = []

    def call_after_the_look(calls: Sequence[SeenCall]) -> bool:
        looks.append(len(calls))
        add_call(sandbox)
        return False

    calls = await http_watch.wait_for(call_after_the_look, await http_watch.mark(), 0.005)
    assert (looks, len(calls)) == ([0], 1)


async def test_call_after_a_cleared_log_is_seen_during_the_wait(
    sandbox: Sandbox, watch: SandboxWatch, handler: httpx.AsyncClient
) -> None:
    mark = await watch.mark()
    add_call(sandbox)
    sandbox.call_log.clear()
    ends = asyncio.create_task(handler.patch(RUN, json={"status": "SUCCESS"}))
    assert has_ended(await watch.wait_for(has_ended, mark, LONG_S)), "the wait let nothing else run"
    await ends


async def test_calls_are_read_in_several_pages(sandbox: Sandbox, watch: SandboxWatch) -> None:
    mark = await watch.mark()
    for _ in range(2_500):
        add_call(sandbox)
    assert [call.number for call in await watch.calls(mark)] == list(range(mark + 1, mark + 2_501))


async def test_announced_run_exists_in_a_strict_sandbox(
    sandbox: Sandbox, watch: SandboxWatch, handler: httpx.AsyncClient
) -> None:
    assert (await rejection(handler.patch(f"/v1/actions/runs/{OTHER}", json={"summary": "x"})))[0] == 404
    assert await watch.announce(OTHER, "scale", {"cpu": 4})
    start = sandbox.runs[OTHER].start
    assert (start.action, start.properties) == ("scale", {"cpu": 4})
    assert (await handler.patch(f"/v1/actions/runs/{OTHER}", json={"summary": "x"})).status_code == 200


async def test_explanation_is_the_summary_or_the_last_log(watch: SandboxWatch, handler: httpx.AsyncClient) -> None:
    assert await watch.explanation(OTHER) == await watch.explanation(RUN_ID) == ""
    await handler.post(f"{RUN}/logs", json={"message": "working"})
    assert await watch.explanation(RUN_ID) == "working"
    await handler.patch(RUN, json={"summary": "done"})
    assert await watch.explanation(RUN_ID) == "done"


async def test_failed_announcement_does_not_end_the_watch(runtime: Callable[..., Runtime]) -> None:
    async with sandbox_with(call_rate=CallRate(1)) as sandbox, SandboxWatch.open(access_of(sandbox, runtime)) as watch:
        await watch.mark()
        assert not await watch.announce(OTHER, "scale", {})
        assert len(await watch.calls(0)) == 1
        assert watch.problem is None


async def test_stopped_sandbox_ends_the_wait_with_a_problem(runtime: Callable[..., Runtime]) -> None:
    opened = AsyncExitStack()
    async with sandbox_with() as sandbox:
        watch = await opened.enter_async_context(SandboxWatch.open(access_of(sandbox, runtime)))
        looked = asyncio.Event()

        def look(_: Sequence[SeenCall]) -> bool:
            looked.set()
            return False

        waiting = asyncio.create_task(watch.wait_for(look, 0, LONG_S))
        await looked.wait()
    seen = await asyncio.wait_for(waiting, 10)
    assert [call.path for call in seen] == ["/v1/auth/access_token"]
    assert watch.problem is not None
    assert "cannot reach" in watch.problem.message
    assert (await watch.mark(), await watch.calls(0), await watch.announce(OTHER, "scale", {})) == (0, [], False)
    await opened.aclose()


async def test_restarted_sandbox_is_a_problem(http_watch: SandboxWatch) -> None:
    assert await http_watch.calls(99) == []
    assert http_watch.problem is not None
    assert "was restarted" in http_watch.problem.message


CALL = SeenCall(number=1, at=NOW, method="GET", path="/", status=200).document
WRONG: list[tuple[int, dict[str, Any]]] = [
    (404, {"ok": False, "error": "not_found", "message": "Not found"}),
    (200, {"ok": True}),
    (200, {"ok": True, "calls": [], "last": None}),
    (200, {"ok": True, "calls": [{}], "last": 1}),
    (200, {"ok": True, "calls": [CALL, CALL], "last": 9}),
    (200, {"ok": True, "calls": [{**CALL, "number": 0}], "last": 9}),
]


async def test_api_without_a_log_of_calls_is_a_problem(runtime: Callable[..., Runtime]) -> None:
    current: list[Any] = [200, {}]

    async def respond(request: web.Request) -> web.Response:
        if request.path.endswith("access_token"):
            return web.json_response({"accessToken": "a-token", "expiresIn": 60})
        return web.json_response(current[1], status=current[0])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with application(app) as url:
        settings = Settings(client_id="id", client_secret=Secret("a-secret"), api_url=url)
        for current[:] in WRONG:
            async with SandboxWatch.open(PortAccess.known(settings, runtime())) as watch:
                assert await watch.wait_for(has_ended, 0, LONG_S) == []
                assert watch.problem is not None, current
                assert watch.problem.message == "PORT_API_URL does not point to a sandbox that shows its calls."


async def test_effects_and_endings_are_selected_from_the_calls(
    sandbox: Sandbox, watch: SandboxWatch, handler: httpx.AsyncClient
) -> None:
    entities = "/v1/blueprints/vm/entities"
    mark = await watch.mark()
    await handler.get(RUN)
    await handler.post("/v1/entities/search", json={"combinator": "and", "rules": []})
    await handler.post(f"{entities}/search", json={})
    await handler.patch(RUN, json={"status": "SUCCESS"}, headers={"authorization": ""})
    await handler.post(f"{entities}?run_id={RUN_ID}", json={"identifier": "a"})
    await handler.post(entities, json={"identifier": "b"})
    for status in ("SUCCESS", "FAILURE"):
        await handler.patch(RUN, json={"status": status})
    calls = await watch.calls(mark)
    assert len(calls) == 8
    everything = [("POST", entities), ("POST", entities), ("PATCH", RUN), ("PATCH", RUN)]
    assert [(call.method, call.path) for call in effects(calls)] == everything
    assert [(call.method, call.path) for call in effects(calls, RUN_ID)] == everything[1:]
    assert [(call.status, call.ends) for call in endings(calls, RUN_ID)] == [(200, "SUCCESS"), (422, "FAILURE")]
    assert endings(calls) == endings(calls, RUN_ID)
    assert effects(calls, OTHER) == endings(calls, OTHER) == []


def test_repeated_call_counts_once() -> None:
    for status, counts in ((401, 0), (429, 0), (404, 1), (422, 1), (500, 1)):
        call = SeenCall(number=1, at=NOW, method="PATCH", path=RUN, status=status, run_id=RUN_ID, ends="SUCCESS")
        assert len(effects([call])) == len(endings([call])) == counts, status
