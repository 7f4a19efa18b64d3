"""How a session gets its public URL, and keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from port_hook_cli.errors import PortHookError
from port_hook_cli.http.web_pages import PublicNames
from port_hook_cli.listener.serving import Serving
from port_hook_cli.tunnels.automatic import open_first_usable
from port_hook_cli.tunnels.keeper import Keeper
from port_hook_cli.tunnels.opening import open_tunnel
from port_hook_cli.tunnels.own import OwnUrl
from port_hook_cli.tunnels.protocol import Opening, Tunnel, decline
from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL, TunnelChoice, is_relay
from port_hook_cli.tunnels.report import TunnelReport

_OFTEN_S, _SELDOM_S = 1.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaching:
    """What a session was asked for: a tunnel, or the URL of one that the user runs (`public_url`).

    `probe_interval_s` 0 asks nothing through it. `exit_after_s` ends the session when it could not be reached for so
    long; None never does.
    """

    choice: TunnelChoice = NO_TUNNEL
    public_url: str | None = None
    domain: str | None = None
    accept_host_key: str | None = None
    probe_interval_s: float = 30.0
    exit_after_s: float | None = None

    @property
    def keepalive_s(self) -> float:
        """How often a far end is asked for a sign of life: as often as the listener asks for itself, within reason."""
        return min(max(self.probe_interval_s, _OFTEN_S), _SELDOM_S) if self.probe_interval_s else _SELDOM_S


class Way:
    """The way from Port to a listener, kept open."""

    follow: Callable[[str], Awaitable[None]]
    """Awaited with each URL to paste after the first; a PortHookError of it is told."""

    def __init__(self, keeper: Keeper, mount: str, *, is_relay: bool, notice: Callable[[str], None]) -> None:
        self.is_relay = is_relay
        self.follow = _nothing_to_do
        self._keeper, self._mount, self._notice = keeper, mount, notice
        self._keeping: asyncio.Task[None] | None = None

    @property
    def public_url(self) -> str:
        """The URL to paste now."""
        return with_mount(self._keeper.latest.url, self._mount)

    @property
    def report(self) -> TunnelReport:
        """How it stands."""
        return replace(self._keeper.latest, url=self.public_url)

    @property
    def lost_count(self) -> int:
        """How often the tunnel ended."""
        return self._keeper.lost_count

    def begin(self) -> None:
        """Begin to watch it."""
        self._keeping = asyncio.create_task(self._keeper.keep())
        self._keeping.add_done_callback(self._ended)

    async def leave(self) -> None:
        """Stop watching; the tunnel stays open for what is in flight."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})

    def _ended(self, keeping: asyncio.Task[None]) -> None:
        if not keeping.cancelled() and (error := keeping.exception()):
            self._notice(f"error: the tunnel is no longer watched: {type(error).__name__}: {error}")


@asynccontextmanager
async def reachable(
    reaching: Reaching, opening: Opening, serving: Serving, mount: str, report: Callable[[TunnelReport], None]
) -> AsyncIterator[Way | None]:
    """Give the way to a listener, or None where there is none; `report` takes each change, with the URL to paste."""
    opened = await _open_way(reaching, opening)
    if opened is None:
        yield None
        return
    tunnel, choice = opened
    serving.names.add(tunnel.url)

    def tell(change: TunnelReport) -> None:
        before = change.previous_url
        pasted = with_mount(before, mount) if before else None
        report(replace(change, url=with_mount(change.url, mount), previous_url=pasted))

    async def moved(url: str) -> None:
        try:
            await way.follow(with_mount(url, mount))
        except PortHookError as problem:
            opening.notice(f"error: {problem.message} {problem.hint}".rstrip())

    keeper = Keeper(
        tunnel,
        _reopen(choice, opening, serving.names),
        probe_path=serving.echo.path,
        token=serving.echo.token,
        report=tell,
        notice=opening.notice,
        moved=moved,
        probe_interval_s=reaching.probe_interval_s,
    )
    serving.after_drain.push_async_callback(keeper.close)
    way = Way(keeper, mount, is_relay=is_relay(choice), notice=opening.notice)
    try:
        yield way
    finally:
        await way.leave()


async def _nothing_to_do(_: str) -> None:
    return


async def _open_way(reaching: Reaching, opening: Opening) -> tuple[Tunnel, TunnelChoice] | None:
    """Return the way from Port to the listener and what it is, or None where there is none and none was asked for."""
    choice = reaching.choice
    if choice == NO_TUNNEL:
        return (OwnUrl(reaching.public_url), choice) if reaching.public_url else None
    if choice == AUTO:
        return await open_first_usable(opening)
    return await open_tunnel(choice, opening), choice


def _reopen(
    choice: TunnelChoice, opening: Opening, names: PublicNames
) -> Callable[[str | None], Awaitable[Tunnel]] | None:
    """Return what opens the same way anew; None for one of the user's own, which they alone can open.

    The user is asked nothing then, because they may have left.
    """
    if choice == NO_TUNNEL:
        return None

    async def again(previous_url: str | None) -> Tunnel:
        tunnel = await open_tunnel(choice, replace(opening, ask=decline, previous_url=previous_url))
        names.add(tunnel.url)
        return tunnel

    return again


def with_mount(url: str, mount: str) -> str:
    """Return the public URL to paste: that of the tunnel with the path that the listener serves.

    A URL of the user's own that has a path keeps it.
    """
    return url.rstrip("/") + mount if urlsplit(url).path in {"", "/"} else url
