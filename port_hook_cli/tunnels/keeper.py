"""Opens the chosen tunnel or the first usable tunnel, probes the tunnel, and reopens it when it is lost.

The keeper reports changes of the tunnel, but not each attempt to open it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from port_hook_cli.errors import PortHookError, TunnelError, UsageError
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import NotUsable, Opening, Tunnel, Usable, probe
from port_hook_cli.tunnels.registry import Automatic, TunnelChoice, automatic, find_provider
from port_hook_cli.tunnels.report import ProbeResult, TunnelReport, TunnelState

# The shortest and longest interval between probes while it is unknown whether the tunnel works, and the interval
# between checks of the tunnel's own health.
_LEAST_UNSURE_S = 0.05
_UNSURE_S = 0.5
_HEALTH_S = 0.25
# A tunnel counts as unreachable after this number of consecutive failed probes, because a single probe may be lost.
_FAILURES_TO_REPORT = 2
# A tunnel that worked is reopened if it reports that it still works, but passes no probe for this many seconds.
_GIVE_UP_S = 60.0
_MIN_DELAY_S = 0.2
_MAX_DELAY_S = 3.0
# Only a tunnel that lasted this many seconds resets the delay before the next reopening.
_STABLE_S = 10.0


Open = Callable[[str | None], Awaitable[Tunnel]]


class Keeper:
    """Keeps one tunnel open. With `probe_interval_s` 0, nothing is sent through the tunnel.

    `open_` takes the previous public URL and reopens the tunnel. It is None for the user's own tunnel, which is probed
    but never reopened. `report` receives each change. `notice` receives the reason why a tunnel cannot be reopened.
    `moved` is awaited with each public URL after the first URL. `lost_count` is the number of times that the tunnel
    ended.
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
        """Watch the tunnel, and reopen it whenever it is lost, until the task is cancelled."""
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
            except Exception as error:  # noqa: BLE001 - the tunnel is lost in any case
                self._notice(f"port-hook cannot close the lost tunnel: {_describe(error)}")
            await self._reopen()

    async def close(self) -> None:
        """Close the current tunnel."""
        await self._tunnel.close()

    async def _until_lost(self) -> str:
        """Wait until the tunnel no longer works, and return why."""
        ending = asyncio.create_task(self._tunnel.lost())
        watching = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except Exception as error:  # noqa: BLE001 - a defect here must not leave a tunnel unwatched
            return f"port-hook cannot check it anymore: {_describe(error)}."
        finally:
            for task in (ending, watching):
                task.cancel()
            await asyncio.gather(ending, watching, return_exceptions=True)

    async def _reopen(self) -> None:
        before, reported = self._tunnel.url, ""
        while True:
            # The delay is random, so that the clients of a server that ended do not all return at the same time.
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
        """Probe the tunnel at intervals, and whenever its health changes. Return why the tunnel must be reopened."""
        loop = asyncio.get_running_loop()
        failures, was_reachable, failing_since = 0, False, 0.0
        interval_s = self._interval_s or _UNSURE_S
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
            await self._pause(health, min(max(interval_s, _LEAST_UNSURE_S), _UNSURE_S) if failures else interval_s)

    def _must_reopen(self, report: TunnelReport, failing_s: float) -> bool:
        if not (self._interval_s and self._open):
            return False
        return report.state is TunnelState.TAKEN or failing_s >= _GIVE_UP_S

    def _health_report(self, health: str) -> TunnelReport:
        state = TunnelState.UNREACHABLE if health else TunnelState.OPEN
        return TunnelReport(state=state, url=self._tunnel.url, reason=health)

    async def _pause(self, health: str, for_s: float) -> None:
        """Wait `for_s` seconds, or until the health of the tunnel differs from `health`."""
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
        return " ".join(f"{error.message} {error.hint}".split())  # a program's quoted output has several lines
    return f"{type(error).__name__}: {brief(str(error))}"


async def open_tunnel(choice: TunnelChoice, opening: Opening) -> Tunnel:
    """Open the chosen tunnel. Raises TunnelError on a timeout, and UsageError for a choice without a tunnel."""
    provider = find_provider(choice)
    if provider is None:
        raise UsageError(f"--tunnel {choice.name} is not a tunnel provider.", hint="Choose a provider with `--tunnel`.")
    open_: Callable[[Opening], Awaitable[Tunnel]] = resolve_name(provider.opener)
    return await open_(replace(opening, address=choice.address))


class Check(Protocol):
    """A provider's check whether it is usable on this machine."""

    def __call__(self, environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
        """Return why the provider is usable or not, without opening or downloading anything."""


def no_tunnel_lines() -> tuple[str, ...]:
    """Return the lines that a user reads when `auto` doesn't open a tunnel."""
    *steps, last = (auto.setup for _, auto in automatic())
    return (
        "No tunnel is open, so Port cannot call this listener. Use `--tunnel none` to hide this message.",
        f"To get a public URL, {', '.join(steps)}, or {last}. `port-hook doctor` shows what is missing.",
    )


async def open_first_usable(opening: Opening) -> tuple[Tunnel, TunnelChoice] | None:
    """Return the first tunnel that opens, with its choice, or None.

    Print a notice for each attempt and each failure.
    """
    for choice, usable in _usable_tunnels(opening):
        if usable.question and not await opening.ask(usable.question):
            continue
        opening.notice(f"Opening a tunnel with {choice.name} because {usable.reason}. Disable it with --tunnel none.")
        try:
            return await open_tunnel(choice, opening), choice
        except TunnelError as problem:
            failed = f"The tunnel with {choice.name} did not open: {problem.message} {problem.hint}"
            for line in failed.rstrip().splitlines():
                opening.notice(line)
    for line in no_tunnel_lines():
        opening.notice(line)
    return None


def _usable_tunnels(opening: Opening) -> Iterator[tuple[TunnelChoice, Usable]]:
    for choice, auto in automatic():
        usable = check_provider(auto, opening.environ, opening.home, can_ask=opening.can_ask)
        if isinstance(usable, Usable):
            yield choice, usable


def check_provider(auto: Automatic, environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
    """Return whether `--tunnel auto` can use a provider on this machine, and why."""
    check: Check = resolve_name(auto.check)
    return check(environ, home, can_ask=can_ask)


class UserTunnel:
    """A tunnel that the user runs. See `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def health(self) -> str:
        """Return "", because only a probe can tell whether the tunnel works."""
        return ""

    async def probe(self, path: str, token: str) -> ProbeResult:
        """Request `path` through the public URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait indefinitely, because port-hook cannot detect the end of the user's tunnel."""
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        """Do nothing, because the user runs the tunnel."""
