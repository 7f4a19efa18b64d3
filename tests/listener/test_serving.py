"""The listener as a whole: replays of earlier sessions, its public URL, and its sources."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from port_hook_cli.errors import ListenError, TunnelError, UsageError
from port_hook_cli.invocations.models import Invocation, Response, Status
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.invocations.source import Source, SourceContext
from port_hook_cli.listener.observers import Observers
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, served
from port_hook_cli.runtime import Runtime
from tests.factories import NOW, SECRET, a_body, a_document, signed
from tests.receivers import Seen
from tests.servers import NO_TLS, Handler, handler, open_port
from tests.sockets import LOOPBACK, bound_addresses

# The handler closes each connection, so the next request must not reuse it.
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


async def test_restarted_listener_finds_a_replay_when_the_senders_clock_is_ahead(plain_runtime: Runtime) -> None:
    plan = ListenPlan(policy=Policy(secret=SECRET, tolerance_s=300), port=0)
    ahead = dict(signed(a_body(), timestamp=str(int(NOW) + 300)))
    shown = Seen()
    for now in (NOW, NOW + 599):
        at_that_time = replace(plain_runtime, now=partial(float, now))
        async with served(plan, at_that_time, shown) as serving, httpx.AsyncClient(verify=NO_TLS) as client:
            await client.post(serving.url, content=a_body(), headers=ahead)
    assert [capture.verdict.slugs for capture in shown.captures] == [(), ("replayed",)]


async def test_listener_uses_the_next_free_port_only_beside_another_listener(plain_runtime: Runtime) -> None:
    seen = Seen()
    async with served(ListenPlan(policy=Policy(secret=None), port=0), plain_runtime, seen) as first:
        port = httpx.URL(first.url).port
        assert port
        plan = ListenPlan(policy=Policy(secret=None), port=port, may_move=True)
        async with served(plan, plain_runtime, Observers([])) as second:
            assert (httpx.URL(second.url).port or 0) > port
        with pytest.raises(ListenError, match="already in use"):
            async with served(replace(plan, may_move=False), plain_runtime, Observers([])):
                pass
    assert seen.captures == []
    with handler() as other:
        plan = replace(plan, port=httpx.URL(other.url).port or 0)
        with pytest.raises(ListenError, match="already in use"):
            async with served(plan, plain_runtime, Observers([])):
                pass


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
async def test_listener_listens_only_on_loopback_by_default(plain_runtime: Runtime) -> None:
    plan = ListenPlan(policy=Policy(secret=SECRET), port=0)
    async with served(plan, plain_runtime, Observers([])) as serving:
        assert bound_addresses(urlsplit(serving.url).port or 0) == {LOOPBACK}


async def test_target_is_rejected_when_it_may_be_the_listener_itself(plain_runtime: Runtime) -> None:
    for host in ("127.0.0.1", "127.0.0.2", "[0:0:0:0:0:0:0:1]", "localhost.", "127.1", "0.0.0.0"):  # noqa: S104
        with open_port() as probe:
            port = probe.getsockname()[1]
        plan = ListenPlan(policy=Policy(secret=SECRET, routes=Routes(default=f"http://{host}:{port}/hook")), port=port)
        with pytest.raises(UsageError, match="is this listener itself"):
            async with served(plan, plain_runtime, Observers([])):
                pass


async def schemes_of(
    target: Handler, plan: ListenPlan, runtime: Runtime, moves: list[str], public_url: str | None
) -> list[str]:
    """Return `x-forwarded-proto` of a first request, and of one request after each of `moves`."""
    async with (
        served(plan, runtime, Observers([]), public_url=public_url) as serving,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        for move in ["", *moves]:
            if move:
                serving.public.move_to(move)
            assert (await client.post(serving.url, content=b"{}")).status_code == 200
    return [request.value("x-forwarded-proto") or "" for request in target.requests]


async def test_each_request_is_forwarded_with_the_current_scheme_of_the_public_url(plain_runtime: Runtime) -> None:
    cases: list[tuple[str | None, list[str], list[str]]] = [
        ("https://own.example", [], ["https"]),
        ("http://own.example", [], ["http"]),
        (None, ["https://a.example", "http://b.example"], ["http", "https", "http"]),
    ]
    for public_url, moves, schemes in cases:
        with handler(CLOSING) as target:
            plan = ListenPlan(policy=Policy(secret=None, routes=Routes(default=target.url)), port=0)
            assert await schemes_of(target, plan, plain_runtime, moves, public_url) == schemes


async def test_users_public_url_is_accepted_from_the_first_request_on(plain_runtime: Runtime) -> None:
    plan = ListenPlan(policy=Policy(secret=None), port=0)
    async with (
        served(plan, plain_runtime, Observers([]), public_url="https://own.example") as serving,
        httpx.AsyncClient(verify=NO_TLS) as client,
    ):
        statuses = [
            (await client.post(serving.url, content=b"{}", headers={"host": host})).status_code
            for host in ("own.example", "other.example")
        ]
    assert statuses == [200, 421]


class ListSource:
    """A source other than HTTP. It feeds bodies to the pipeline, and records the responses."""

    def __init__(self, context: SourceContext, *bodies: bytes) -> None:
        self._context = context
        self.responses: list[Response] = []
        self.drain_s: float | None = None
        self._feeding = asyncio.create_task(self._feed(bodies))

    async def _feed(self, bodies: tuple[bytes, ...]) -> None:
        for body in bodies:
            invocation = Invocation(
                id=self._context.new_id(),
                received_at=self._context.now(),
                method="POST",
                target=self._context.mount,
                headers=signed(body),
                body=body,
            )
            response = await self._context.receive(invocation, "unknown")
            assert response is not None
            self.responses.append(response)

    async def close(self, drain_s: float) -> None:
        self.drain_s = drain_s
        await asyncio.wait({self._feeding}, timeout=drain_s)
        self._feeding.cancel()


def bodies_of(seen: Seen) -> list[bytes]:
    return [capture.invocation.body for capture in seen.captures]


async def test_invocations_of_every_source_reach_the_same_pipeline(plain_runtime: Runtime) -> None:
    opened, seen = [], Seen()

    async def open_list(context: SourceContext, *bodies: bytes) -> Source:
        opened.append(ListSource(context, *bodies))
        return opened[-1]

    bodies = [a_body(a_document(number=number)) for number in range(3)]
    with handler(CLOSING) as target:
        plan = ListenPlan(policy=Policy(secret=SECRET, routes=Routes(default=target.url, mount="/hook")), port=0)
        sources = [lambda context: open_list(context, bodies[0]), lambda context: open_list(context, bodies[1])]
        async with (
            served(plan, replace(plain_runtime, now=partial(float, NOW)), seen, sources=sources) as serving,
            httpx.AsyncClient(verify=NO_TLS) as client,
        ):
            response = await client.post(serving.url, content=bodies[2], headers=dict(signed(bodies[2])))
            assert response.status_code == 200
            assert [capture.invocation.body for capture in seen.captures] == [
                bodies[2]
            ]  # the other sources wait until the session has started
            serving.accept()
        assert [source.drain_s for source in opened] == [2.0, 2.0]
        assert [[answer.status for answer in source.responses] for source in opened] == [[200], [200]]
        assert {capture.verdict.status for capture in seen.captures} == {Status.VALID}
        assert sorted(bodies_of(seen)) == sorted(bodies)
        assert sorted(request.body for request in target.requests) == sorted(bodies)


async def test_listener_ends_and_closes_other_sources_when_a_source_cannot_open(plain_runtime: Runtime) -> None:
    opened: list[ListSource] = []

    async def open_list(context: SourceContext) -> Source:
        opened.append(ListSource(context))
        return opened[-1]

    async def refuse(context: SourceContext) -> Source:
        raise TunnelError("No broker responds.")

    plan = ListenPlan(policy=Policy(secret=None), port=0)
    with pytest.raises(TunnelError, match="No broker"):
        async with served(plan, plain_runtime, Seen(), sources=[open_list, refuse]):
            pass
    assert opened[0].drain_s == 2.0
