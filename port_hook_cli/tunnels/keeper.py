"""Keeping a listener reachable: its tunnel is watched, asked through, and opened anew when it is lost.

What is reported is each change, not each attempt: a person reads it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from port_hook_cli.errors import PortHookError
from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import Tunnel
from port_hook_cli.tunnels.report import TunnelReport, TunnelState

# While a tunnel is not known to work it is asked this often, and its own word is listened to always.
_UNSURE_S = 0.5
_HEALTH_S = 0.25
# So many probes in a row say it before it is believed that a listener cannot be reached: one may be lost.
_SURE_AFTER = 2
# A tunnel that did work and does not for so long, though it believes that it does, is opened anew.
_GIVE_UP_S = 60.0
_FIRST_DELAY_S = 0.2
_MOST_DELAY_S = 3.0
# A tunnel that ended sooner is no reason to hurry with the next one.
_STEADY_S = 10.0


Open = Callable[[str | None], Awaitable[Tunnel]]


class Keeper:
    """Keeps one tunnel. `probe_interval_s` 0 asks nothing through it; `open_` is given the URL that there was before.

    `open_` None is for a way that is not ours to open: it is watched, and never given up. `report` takes each change,
    `notice` what keeps a lost tunnel from being opened anew, `moved` is awaited with each public URL after the first.
    `lost_count` counts how often the tunnel ended.
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
        self._delay_s = _FIRST_DELAY_S

    async def keep(self) -> None:
        """Watch the tunnel for as long as this is not cancelled; a lost one is opened anew, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            opened_at = loop.time()
            reason = await self._until_lost()
            if loop.time() - opened_at >= _STEADY_S:
                self._delay_s = _FIRST_DELAY_S
            self.lost_count += 1
            self._tell(TunnelReport(state=TunnelState.LOST, url=self._tunnel.url, reason=reason))
            try:
                await self._tunnel.close()
            except Exception as error:  # noqa: BLE001 - it is lost as it is; the next one counts
                self._notice(f"The lost tunnel could not be closed: {_words(error)}")
            await self._open_anew()

    async def close(self) -> None:
        """Close the tunnel that there is."""
        await self._tunnel.close()

    async def _until_lost(self) -> str:
        """Return why the tunnel is no good any more."""
        ending = asyncio.create_task(self._tunnel.lost())
        watching = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait({ending, watching}, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except Exception as error:  # noqa: BLE001 - a defect here must not leave a listener unwatched
            return f"It could not be watched any more: {_words(error)}."
        finally:
            for task in (ending, watching):
                task.cancel()
            await asyncio.gather(ending, watching, return_exceptions=True)

    async def _open_anew(self) -> None:
        before, told = self._tunnel.url, ""
        while True:
            # Jitter, so that all who lost the same server do not come back at once.
            await asyncio.sleep(self._delay_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            self._delay_s = min(self._delay_s * 2, _MOST_DELAY_S)
            try:
                self._tunnel = await self._open(before) if self._open else self._tunnel
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, it may be over the next time
                words = _words(error)
            if words != told:
                self._notice(f"The tunnel cannot be opened anew yet: {words}")
            told = words
        url = self._tunnel.url
        self._tell(TunnelReport(state=TunnelState.OPEN, url=url, previous_url=before if url != before else None))
        if url != before:
            await self._follow(url)

    async def _follow(self, url: str) -> None:
        try:
            await self._moved(url)
        except Exception as error:  # noqa: BLE001 - the tunnel is open all the same, and is to be watched
            self._notice(f"error: The new public URL could not be followed: {_words(error)}")

    async def _watch(self) -> str:
        """Ask through the tunnel now and then, at once when its health changes; return why to open it anew."""
        loop = asyncio.get_running_loop()
        failures, was_reachable, bad_since = 0, False, 0.0
        while True:
            health = self._tunnel.health()
            if health or not self._interval_s:
                report = self._by_health(health)
                failures = _SURE_AFTER
            else:
                probing = await self._tunnel.probe(self._probe_path, self._token)
                report = TunnelReport.of(probing, self._tunnel.url)
                failures = 0 if report.state.is_good else failures + 1
            if report.state.is_good:
                was_reachable, bad_since = True, 0.0
                self._tell(report)
            elif failures >= _SURE_AFTER:
                self._tell(report)
                bad_since = bad_since or loop.time()
                if was_reachable and not health and self._is_hopeless(report, loop.time() - bad_since):
                    return f"{report.reason}."
            await self._pause(health, _UNSURE_S if failures else self._interval_s or _UNSURE_S)

    def _is_hopeless(self, report: TunnelReport, for_s: float) -> bool:
        if not (self._interval_s and self._open):
            return False
        return report.state is TunnelState.TAKEN or for_s >= _GIVE_UP_S

    def _by_health(self, health: str) -> TunnelReport:
        state = TunnelState.UNREACHABLE if health else TunnelState.OPEN
        return TunnelReport(state=state, url=self._tunnel.url, reason=health)

    async def _pause(self, health: str, for_s: float) -> None:
        """Wait so long, or until the tunnel says something else of itself."""
        loop = asyncio.get_running_loop()
        until = loop.time() + for_s
        while loop.time() < until and self._tunnel.health() == health:  # noqa: ASYNC110 - not every tunnel tells by itself
            await asyncio.sleep(min(_HEALTH_S, max(0.0, until - loop.time())))

    def _tell(self, report: TunnelReport) -> None:
        before, self.latest = self.latest, report
        if (report.state, report.url) != (before.state, before.url):
            self._report(report)


def _words(error: Exception) -> str:
    if isinstance(error, PortHookError):
        return " ".join(f"{error.message} {error.hint}".split())  # the last words of a program have lines
    return f"{type(error).__name__}: {brief(str(error))}"
