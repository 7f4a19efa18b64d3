"""Forwarding by `--route`, from a listener on a free port to real handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.listen_requests import read_routes
from port_hook_cli.engines.jq_owner import JqOwner
from port_hook_cli.errors import UsageError
from port_hook_cli.listener.pipeline import RouteTime
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, RouteExpressions, Serving, served
from port_hook_cli.runtime import Runtime
from tests.factories import a_body, a_document
from tests.receivers import Seen
from tests.servers import NO_TLS, Handler, handler

# The handler closes each connection, so the next request must not reuse it.
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
ENDLESS = "[range(1e12)]|length"


@asynccontextmanager
async def routed(
    runtime: Runtime, routes: list[str], *, default: str | None = None, seen: Seen | None = None, **plan: Any
) -> AsyncIterator[tuple[Serving, httpx.AsyncClient]]:
    policy = Policy(secret=None, routes=read_routes(default, routes, "/"))
    async with (
        served(ListenPlan(policy=policy, port=0, **plan), runtime, seen or Seen()) as serving,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        yield serving, client


async def post(serving: Serving, client: httpx.AsyncClient, document: Any) -> httpx.Response:
    return await client.post(serving.url, content=a_body(document))


def paths(target: Handler) -> list[str]:
    return [request.line.split()[1] for request in target.requests]


async def test_invocations_are_forwarded_by_blueprint_node_and_expression(plain_runtime: Runtime) -> None:
    node = {"nodeRunId": "wfnr_1234567890abcdef", "workflow": "deploy", "node": "check"}
    with handler(CLOSING) as target:
        routes = [
            f'jq:.payload.properties.env == "prod"={target.url}/prod',
            f"blueprint:vm={target.url}/vm",
            f"deploy#check={target.url}/node",
        ]
        async with routed(plain_runtime, routes, default=f"{target.url}/rest") as (serving, client):
            await post(serving, client, a_document(context={"runId": "r_QOz6WoOB1Q2lmhZZ", "blueprint": "vm"}))
            await post(serving, client, {"run": {"id": node["nodeRunId"]}, **node})
            await post(serving, client, a_document(payload={"properties": {"env": "prod"}}))
            await post(serving, client, {"other": 1})
    assert paths(target) == ["/vm", "/node", "/prod", "/rest"]


async def test_listener_responds_itself_when_no_expression_is_true(plain_runtime: Runtime) -> None:
    seen = Seen()
    with handler(CLOSING) as target:
        async with routed(plain_runtime, [f"jq:.wanted={target.url}"], seen=seen) as (serving, client):
            contents = [(await post(serving, client, {"wanted": wanted})).content for wanted in (False, None, 0)]
            contents.append((await client.post(serving.url, content=b"not JSON")).content)
    own = b'{"ok": true}'
    assert contents == [own, own, b"ok", own]
    with open_store(None, plain_runtime.cwd) as store:
        kept = [store.get(capture.invocation.id) for capture in seen.captures]
    assert [(it.response and it.response.body, it.delivery is None) for it in kept] == [
        (own, True),
        (own, True),
        (b"ok", False),
        (own, True),
    ]


async def test_failing_expression_does_not_match_and_is_reported_once(plain_runtime: Runtime) -> None:
    seen = Seen()
    with handler(CLOSING) as target:
        routes = [f"jq:.a | keys={target.url}/never"]
        async with routed(plain_runtime, routes, default=target.url, seen=seen) as (serving, client):
            for _ in range(2):
                assert (await post(serving, client, {"a": 1})).status_code == 200
    assert paths(target) == ["/", "/"]
    (notice,) = [notice for notice in seen.notices if "--route" in notice]
    assert "jq:.a | keys failed and did not match: jq: error" in notice


async def test_expression_that_jq_had_to_stop_is_never_evaluated_again() -> None:
    notices: list[str] = []
    with JqOwner(timeout_s=0.2) as jq:
        routes = RouteExpressions(notices.append, jq)
        assert await routes.is_true(".a", {"a": 1}, RouteTime())
        expression = f"if .slow then {ENDLESS} else true end"
        waiting = [routes.is_true(expression, {"slow": slow}, RouteTime()) for slow in (True, True, False)]
        assert await asyncio.gather(*waiting) == [False, False, False]
        assert await routes.is_true(".a", {"a": 1}, RouteTime())
    (notice,) = notices
    assert notice.endswith(" did not match: it was stopped: rendering took longer than 0.2 s. This route is now off.")


async def test_every_expression_is_off_after_jq_had_to_stop_three_of_them() -> None:
    notices: list[str] = []
    with JqOwner(timeout_s=0.05) as jq:
        routes = RouteExpressions(notices.append, jq)
        for number in range(3):
            await routes.is_true(f"{number} | {ENDLESS}", {}, RouteTime())
        assert not await routes.is_true("true", {}, RouteTime())
    assert notices[3:] == [
        "note: --route jq:true failed and did not match: 3 other jq routes took too long. This route is now off."
    ]


async def test_expressions_of_one_request_share_a_time_limit() -> None:
    notices: list[str] = []
    with JqOwner(timeout_s=5) as jq:
        routes, time = RouteExpressions(notices.append, jq), RouteTime(left_s=0.2)
        assert [await routes.is_true(each, {}, time) for each in (f"1 | {ENDLESS}", "true")] == [False, False]
        assert await routes.is_true("true", {}, RouteTime())
    assert notices[0].endswith(
        " did not match: the jq routes of one request took too long together. This route is now off."
    )


async def test_invalid_expression_is_rejected_before_the_first_request(plain_runtime: Runtime) -> None:
    with pytest.raises(UsageError, match=r"--route jq:\.a \| nothing_like_it: jq: compile error"):
        async with routed(plain_runtime, ["jq:.a | nothing_like_it=8001"]):
            pass


async def test_other_requests_get_responses_while_an_expression_runs(plain_runtime: Runtime) -> None:
    seen = Seen()
    with handler(CLOSING) as target:
        routes = [f"scale={target.url}", f"jq:if .slow then {ENDLESS} else true end={target.url}"]
        async with routed(plain_runtime, routes, seen=seen, drain_s=0) as (serving, client):
            slow = asyncio.create_task(post(serving, client, {"slow": True}))
            for _ in range(3):
                assert (await post(serving, client, a_document(action="scale"))).status_code == 200
            assert not slow.done()
            slow.cancel()
    *_, interrupted = seen.captures
    assert interrupted.payload.document == {"slow": True}
    assert interrupted.delivery
    assert interrupted.delivery.fault == "interrupted"


async def test_expressions_see_neither_the_environment_nor_files(
    plain_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT_CLIENT_SECRET", "hidden")
    with handler(CLOSING) as target:
        routes = [f"jq:env.PORT_CLIENT_SECRET // $ENV.PORT_CLIENT_SECRET={target.url}/leaked"]
        async with routed(plain_runtime, routes, default=target.url) as (serving, client):
            await post(serving, client, {})
    assert paths(target) == ["/"]
