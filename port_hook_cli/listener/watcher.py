"""The observer that ends a session: after `--count` invocations, or when the tunnel is lost for too long."""

from __future__ import annotations

import asyncio

from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.listener.observers import Observer
from port_hook_cli.tunnels.report import TunnelReport, TunnelState


class Watcher(Observer):
    """Sets `stop` when the session is to end, and counts the responses that differ from what `expect` says.

    `count` invocations end the session. So do `exit_after_s` seconds without a working tunnel; None means never.
    `has_probes` says that the public URL is checked.
    """

    def __init__(
        self,
        stop: asyncio.Event,
        *,
        count: int | None,
        expect: Expectation | None,
        exit_after_s: float | None,
        has_probes: bool,
    ) -> None:
        self._stop, self._count, self._expect = stop, count, expect
        self._exit_after_s, self._has_probes = exit_after_s, has_probes
        self._give_up: asyncio.TimerHandle | None = None
        self.shown = 0
        self.unexpected = 0
        self.lost_tunnel = False

    def exchanged(self, exchange: Exchange) -> None:
        """Count an exchange; the last one that `count` asks for ends the session."""
        self.shown += 1
        if self._expect and not (exchange.response and self._expect.met_by(exchange.response.status)):
            self.unexpected += 1
        if self.shown == self._count:
            self._stop.set()

    def tunnel(self, report: TunnelReport) -> None:
        """Start the timer when the tunnel stops working, and cancel it when the tunnel works again."""
        # A tunnel may be opened and lost again and again: where probes follow, only a probe shows that it works.
        is_working = report.state.is_good and not (self._has_probes and report.state is TunnelState.OPEN)
        if is_working and self._give_up:
            self._give_up.cancel()
            self._give_up = None
        elif not report.state.is_good and self._exit_after_s is not None and self._give_up is None:
            self._give_up = asyncio.get_running_loop().call_later(self._exit_after_s, self._lose)

    def _lose(self) -> None:
        if not self._stop.is_set():  # a session that is ending already keeps its exit code
            self.lost_tunnel = True
            self._stop.set()
