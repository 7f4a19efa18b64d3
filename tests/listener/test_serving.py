"""The listener put together: what it remembers of the one before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import httpx

from port_hook_cli.invocations.models import Exchange
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.serving import Plan, listening
from port_hook_cli.runtime import Runtime
from tests.factories import NOW, SECRET, a_body, signed


class Silent:
    """An observer that ignores everything."""

    def exchanged(self, exchange: Exchange) -> None: ...

    def notice(self, text: str) -> None: ...


async def test_a_restarted_listener_refuses_a_replay_from_a_sender_whose_clock_is_ahead(
    runtime: Callable[..., Runtime],
) -> None:
    plan = Plan(policy=Policy(secret=SECRET, tolerance_s=300, refuse_replays=True), port=0)
    ahead = dict(signed(a_body(), timestamp=str(int(NOW) + 300)))
    statuses = []
    for now in (NOW, NOW + 599):
        at_that_time = replace(runtime(), now=partial(float, now))
        async with listening(plan, at_that_time, Silent()) as serving, httpx.AsyncClient() as client:
            statuses.append((await client.post(serving.url, content=a_body(), headers=ahead)).status_code)
    assert statuses == [200, 401]
