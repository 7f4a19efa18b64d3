"""The listener put together: what it knows of an earlier one, and what requests learn of its public URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import httpx
import pytest

from port_hook_cli.invocations.forwarding import Routes
from port_hook_cli.listener.observers import Observers
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import ListenPlan, listening
from port_hook_cli.runtime import Runtime
from tests.factories import NOW, SECRET, a_body, signed
from tests.servers import Handler, handler


async def test_a_restarted_listener_refuses_a_replay_from_a_sender_whose_clock_is_ahead(
    runtime: Callable[..., Runtime],
) -> None:
    plan = ListenPlan(policy=Policy(secret=SECRET, tolerance_s=300, refuse_replays=True), port=0)
    ahead = dict(signed(a_body(), timestamp=str(int(NOW) + 300)))
    statuses = []
    for now in (NOW, NOW + 599):
        at_that_time = replace(runtime(), now=partial(float, now))
        async with listening(plan, at_that_time, Observers([])) as serving, httpx.AsyncClient() as client:
            statuses.append((await client.post(serving.url, content=a_body(), headers=ahead)).status_code)
    assert statuses == [200, 401]


async def schemes_of(
    target: Handler, plan: ListenPlan, runtime: Runtime, moves: list[str], public_url: str | None
) -> list[str]:
    """Return `x-forwarded-proto` of a first request, and of one after each of `moves`."""
    async with listening(plan, runtime, Observers([]), public_url=public_url) as serving, httpx.AsyncClient() as client:
        for move in ["", *moves]:
            if move:
                serving.public.move_to(move)
            assert (await client.post(serving.url, content=b"{}")).status_code == 200
    return [request.value("x-forwarded-proto") or "" for request in target.requests]


@pytest.mark.parametrize(
    ("public_url", "moves", "schemes"),
    [
        (None, [], ["http"]),
        ("https://own.example", [], ["https"]),
        ("http://own.example", [], ["http"]),
        (None, ["https://a.example", "http://b.example"], ["http", "https", "http"]),
    ],
)
async def test_each_request_carries_the_scheme_of_the_public_url_of_its_moment(
    runtime: Callable[..., Runtime], public_url: str | None, moves: list[str], schemes: list[str]
) -> None:
    # The handler closes each connection, so the next request must not use the old one.
    with handler(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok") as target:
        plan = ListenPlan(policy=Policy(secret=None, routes=Routes(default=target.url)), port=0)
        assert await schemes_of(target, plan, runtime(), moves, public_url) == schemes


async def test_a_public_url_of_the_users_own_is_accepted_from_the_first_request_on(
    runtime: Callable[..., Runtime],
) -> None:
    plan = ListenPlan(policy=Policy(secret=None), port=0)
    async with (
        listening(plan, runtime(), Observers([]), public_url="https://own.example") as serving,
        httpx.AsyncClient() as client,
    ):
        statuses = [
            (await client.post(serving.url, content=b"{}", headers={"host": host})).status_code
            for host in ("own.example", "other.example")
        ]
    assert statuses == [200, 421]
