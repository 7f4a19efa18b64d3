"""Keeping a listener reachable: the keeper probes its tunnel, and reopens it when it is lost.

It reports each change once, not each attempt.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from port_hook_cli.errors import PortHookError
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import Tunnel
from port_hook_cli.tunnels.report import TunnelReport, TunnelState

# The interval between probes while the tunnel is not known to work, and between checks of the tunnel's own health.
_UNSURE_S = 0.5
_HEALTH_S = 0.25
# A tunnel counts as unreachable after this many failed probes in a row: a single one may be lost.
_FAILURES_TO_REPORT = 2
# A tunnel that worked, reports that it still works, and lets no probe through for this long is reopened.
_GIVE_UP_S = 60.0
_MIN_DELAY_S = 0.2
_MAX_DELAY_S = 3.0
# The delay before reopening is only reset by a tunnel that lasted this long.
_STABLE_S = 10.0


Open = Callable[[str | None], Awaitable[Tunnel]]


class Keeper:
    """Keeps one tunnel open. With `probe_interval_s` 0, nothing is sent through it.

    `open_` takes the previous public URL and opens the tunnel again. It is None for a tunnel that the user runs: that
    one is probed, and never reopened. `report` gets each change. `notice` gets the reason why a tunnel cannot be
    reopened. `moved` is awaited with each public URL after the first. `lost_count` is how often the tunnel ended.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        open_: Open | None,
        *,
        probe_path: str,
        token: str,
        report: Callable[[TunnelReport], None],
        notice: Callable[[str], None],
        moved: Callable[[str], Awaitable[None]],
        probe_interval_s: float = 30.0,
    ) -> None:
        self.latest = TunnelReport(state=TunnelState.OPEN, url=tunnel.url)
        self.lost_count = 0
        self._tunnel = tunnel
        self._open = open_
        self._probe_path, self._token = probe_path, token
        self._report, self._notice, self._moved = report, notice, moved
        self._interval_s = probe_interval_s
        self._delay_s = _MIN_DELAY_S

    async def keep(self) -> None:
        """Watch the tunnel, and reopen it whenever it is lost, until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            opened_at = loop.time()
            reason = await self._until_lost()
            if loop.time() - opened_at >= _STABLE_S:
                self._delay_s = _MIN_DELAY_S
            self.lost_count += 1
            self._report_change(TunnelReport(state=TunnelState.LOST, url=self._tunnel.url, reason=reason))
            try:
                await self._tunnel.close()
            except Exception as error:  # noqa: BLE001 - the tunnel is lost in any case; the next one matters
                self._notice(f"The lost tunnel could not be closed: {_describe(error)}")
            await self._reopen()

    async def close(self) -> None:
        """Close the current tunnel."""
        await self._tunnel.close()

    async def _until_lost(self) -> str:
        """Return why the tunnel no longer works."""
        ending = asyncio.create_task(self._tunnel.lost())
        watching = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except Exception as error:  # noqa: BLE001 - a defect here must not leave a tunnel unwatched
            return f"It could no longer be watched: {_describe(error)}."
        finally:
            for task in (ending, watching):
                task.cancel()
            await asyncio.gather(ending, watching, return_exceptions=True)

    async def _reopen(self) -> None:
        before, reported = self._tunnel.url, ""
        while True:
            # The delay is random, so that the clients of a server that ended do not all return together.
            await asyncio.sleep(self._delay_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
            self._delay_s = min(self._delay_s * 2, _MAX_DELAY_S)
            try:
                self._tunnel = await self._open(before) if self._open else self._tunnel
                break
            except Exception as error:  # noqa: BLE001 - the next attempt may succeed, whatever the error is
                message = _describe(error)
            if message != reported:
                self._notice(f"The tunnel cannot be reopened yet: {message}")
            reported = message
        url = self._tunnel.url
        previous = before if url != before else None
        self._report_change(TunnelReport(state=TunnelState.OPEN, url=url, previous_url=previous))
        if previous:
            await self._announce(url)

    async def _announce(self, url: str) -> None:
        try:
            await self._moved(url)
        except Exception as error:  # noqa: BLE001 - the tunnel is open, and must be watched
            self._notice(f"error: --retarget could not set the new URL in Port: {_describe(error)}")

    async def _watch(self) -> str:
        """Probe at intervals, and whenever the tunnel's health changes; return why the tunnel must be reopened."""
        loop = asyncio.get_running_loop()
        failures, was_reachable, failing_since = 0, False, 0.0
        while True:
            health = self._tunnel.health()
            if health or not self._interval_s:
                report = self._health_report(health)
                failures = _FAILURES_TO_REPORT
            else:
                result = await self._tunnel.probe(self._probe_path, self._token)
                report = TunnelReport.of(result, self._tunnel.url)
                failures = 0 if report.state.is_good else failures + 1
            if report.state.is_good:
                was_reachable, failing_since = True, 0.0
                self._report_change(report)
            elif failures >= _FAILURES_TO_REPORT:
                self._report_change(report)
                failing_since = failing_since or loop.time()
                if was_reachable and not health and self._must_reopen(report, loop.time() - failing_since):
                    return f"{report.reason}."
            await self._pause(health, _UNSURE_S if failures else self._interval_s or _UNSURE_S)

    def _must_reopen(self, report: TunnelReport, failing_s: float) -> bool:
        if not (self._interval_s and self._open):
            return False
        return report.state is TunnelState.TAKEN or failing_s >= _GIVE_UP_S

    def _health_report(self, health: str) -> TunnelReport:
        state = TunnelState.UNREACHABLE if health else TunnelState.OPEN
        return TunnelReport(state=state, url=self._tunnel.url, reason=health)

    async def _pause(self, health: str, for_s: float) -> None:
        """Wait `for_s` seconds, or until the tunnel's health is no longer `health`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + for_s
        while loop.time() < until and self._tunnel.health() == health:  # noqa: ASYNC110 - not every provider has events
            await asyncio.sleep(min(_HEALTH_S, max(0.0, until - loop.time())))

    def _report_change(self, report: TunnelReport) -> None:
        before, self.latest = self.latest, report
        if (report.state, report.url) != (before.state, before.url):
            self._report(report)


def _describe(error: Exception) -> str:
    if isinstance(error, PortHookError):
        return " ".join(f"{error.message} {error.hint}".split())  # the quoted output of a program has several lines
    return f"{type(error).__name__}: {brief(str(error))}"
