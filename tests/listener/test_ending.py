"""The observer that ends a session."""

from __future__ import annotations

import asyncio
from typing import Any

from port_hook_cli.invocations.models import Response
from port_hook_cli.invocations.statuses import Expectation
from port_hook_cli.listener.ending import EndReason, Watcher
from port_hook_cli.listener.policy import Policy
from port_hook_cli.listener.public_url import TunnelOptions
from port_hook_cli.listener.serving import ListenPlan
from port_hook_cli.tunnels.report import TunnelReport, TunnelState
from tests.factories import a_capture


def in_state(state: TunnelState) -> TunnelReport:
    return TunnelReport(state=state, url="https://a.example/")


def a_watcher(*, exit_after_s: float | None = None, **plan: Any) -> Watcher:
    return Watcher(ListenPlan(policy=Policy(secret=None), **plan), TunnelOptions(exit_after_s=exit_after_s))


def test_watcher_ends_the_session_at_the_count_and_counts_unexpected_responses() -> None:
    watcher = a_watcher(count=3, expect=Expectation.parse("2xx"))
    stopped = []
    for answer in (Response(status=200), Response(status=500), None):
        watcher.captured(a_capture(response=answer))
        stopped.append(watcher.over.is_set())
    assert stopped == [False, False, True]
    assert watcher.outcome() == (EndReason.UNMET, ("2 of 3 responses were not 2xx (--expect-status).",))


async def test_watcher_ends_the_session_when_the_tunnel_stays_lost() -> None:
    watcher = a_watcher(exit_after_s=0.01)
    watcher.tunnel(in_state(TunnelState.LOST))
    watcher.tunnel(in_state(TunnelState.OPEN))  # opened, but not probed yet
    assert not watcher.over.is_set()
    await asyncio.wait_for(watcher.over.wait(), 10)
    assert watcher.outcome()[0] is EndReason.TUNNEL_LOST


async def test_session_continues_when_the_tunnel_works_again_in_time() -> None:
    watcher = a_watcher(exit_after_s=0.05)
    watcher.tunnel(in_state(TunnelState.LOST))
    watcher.tunnel(in_state(TunnelState.REACHABLE))
    after = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, after.set)  # after the watcher's own timer
    await asyncio.wait_for(after.wait(), 10)
    assert not watcher.over.is_set()
    assert watcher.outcome() == (EndReason.STOPPED, ())
