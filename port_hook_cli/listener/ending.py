"""Decides when and why a session ends by itself, and which expectations were not met."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from enum import StrEnum, unique

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Capture
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.policy import Tally
from port_hook_cli.listener.public_url import TunnelOptions
from port_hook_cli.listener.serving import ListenPlan
from port_hook_cli.tunnels.report import TunnelReport, TunnelState


@unique
class EndReason(StrEnum):
    """The reason why a session ended. UNMET means that the session was stopped and an expectation was not met."""

    STOPPED = "stopped"
    UNMET = "unmet"
    TUNNEL_LOST = "tunnel-lost"


@frozen
class Ended:
    """The end of a session: the reason, and the final counters."""

    reason: EndReason
    tally: Tally


class Watcher(Observer):
    """Sets `over` when the session must end, and counts the responses that differ from the plan's expectation.

    The session ends after the plan's `count` of invocations, or after `exit_after_s` seconds without a working tunnel.
    `has_timed_out` is set when the plan's `timeout_s` ends the session.
    """

    def __init__(self, plan: ListenPlan, tunnel: TunnelOptions) -> None:
        self._plan, self._exit_after_s = plan, tunnel.exit_after_s
        self._has_probes = bool(tunnel.probe_interval_s)
        self._give_up: asyncio.TimerHandle | None = None
        self._shown = 0
        self._unexpected = 0
        self._has_lost_tunnel = False
        self.has_timed_out = False
        self.over = asyncio.Event()

    def captured(self, capture: Capture) -> None:
        """Count a capture. The session ends when `count` is reached."""
        self._shown += 1
        expect = self._plan.expect
        if expect and not (capture.response and expect.met_by(capture.response.status)):
            self._unexpected += 1
        if self._shown == self._plan.count:
            self.over.set()

    def tunnel(self, report: TunnelReport) -> None:
        """Start the timer when the tunnel stops working, and cancel the timer when the tunnel works again."""
        # A tunnel may open and fail again and again. With probes, only a successful probe shows that the tunnel works.
        is_working = report.state.is_good and not (self._has_probes and report.state is TunnelState.OPEN)
        if is_working and self._give_up:
            self._give_up.cancel()
            self._give_up = None
        elif not report.state.is_good and self._exit_after_s is not None and self._give_up is None:
            self._give_up = asyncio.get_running_loop().call_later(self._exit_after_s, self._lose)

    def outcome(self) -> tuple[EndReason, tuple[str, ...]]:
        """Return why the session ended, and one sentence for each expectation that was not met."""
        if self._has_lost_tunnel:
            within = f"{self._exit_after_s:g} s (--exit-on-tunnel-loss)"
            return EndReason.TUNNEL_LOST, (f"The tunnel was lost and did not come back within {within}.",)
        complaints = tuple(self._complaints())
        return EndReason.UNMET if complaints else EndReason.STOPPED, complaints

    def _complaints(self) -> Iterator[str]:
        plan, shown = self._plan, self._shown
        if plan.timeout_s is not None and plan.count is not None and shown < plan.count:
            yield f"{self._stopped}: {shown} of {plan.count} invocations arrived (--count)."
        elif plan.timeout_s is not None and plan.expect and not shown:
            yield f"{self._stopped}: no invocation arrived, so no response was {plan.expect.text} (--expect-status)."
        if plan.expect and self._unexpected:
            yield f"{self._unexpected} of {shown} responses were not {plan.expect.text} (--expect-status)."

    @property
    def _stopped(self) -> str:
        return f"Stopped after {self._plan.timeout_s:g} s" if self.has_timed_out else "Stopped"

    def _lose(self) -> None:
        if not self.over.is_set():  # the first reason counts
            self._has_lost_tunnel = True
            self.over.set()
