"""The observer that ends a session."""

from __future__ import annotations

import asyncio

from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Response
from port_hook_cli.listener.watcher import Watcher
from port_hook_cli.tunnels.report import TunnelReport, TunnelState
from tests.factories import an_exchange


def in_state(state: TunnelState) -> TunnelReport:
    return TunnelReport(state=state, url="https://a.example/")


def test_a_watcher_ends_the_session_at_the_count_and_counts_unexpected_responses() -> None:
    stop = asyncio.Event()
    watcher = Watcher(stop, count=3, expect=Expectation.parse("2xx"), exit_after_s=None, has_probes=True)
    stopped = []
    for answer in (Response(status=200), Response(status=500), None):
        watcher.exchanged(an_exchange(response=answer))
        stopped.append(stop.is_set())
    assert stopped == [False, False, True]
    assert (watcher.shown, watcher.unexpected) == (3, 2)


async def test_a_watcher_ends_the_session_when_the_tunnel_stays_lost() -> None:
    stop = asyncio.Event()
    watcher = Watcher(stop, count=None, expect=None, exit_after_s=0.01, has_probes=True)
    watcher.tunnel(in_state(TunnelState.LOST))
    watcher.tunnel(in_state(TunnelState.OPEN))  # opened, and not seen to work
    assert not stop.is_set()
    await asyncio.wait_for(stop.wait(), 10)
    assert watcher.lost_tunnel is True


async def test_a_tunnel_that_works_again_in_time_does_not_end_the_session() -> None:
    stop = asyncio.Event()
    watcher = Watcher(stop, count=None, expect=None, exit_after_s=0.05, has_probes=True)
    watcher.tunnel(in_state(TunnelState.LOST))
    watcher.tunnel(in_state(TunnelState.REACHABLE))
    after = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, after.set)  # later than the watcher's own timer would have been
    await asyncio.wait_for(after.wait(), 10)
    assert not stop.is_set()
    assert not watcher.lost_tunnel
