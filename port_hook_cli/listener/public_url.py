"""Opens the public URL of a session, and reopens its tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

from port_hook_cli.errors import PortHookError
from port_hook_cli.frozen import frozen
from port_hook_cli.listener.policy import PublicAddress
from port_hook_cli.listener.serving import Serving
from port_hook_cli.tunnels.keeper import Keeper, UserTunnel, open_first_usable, open_tunnel
from port_hook_cli.tunnels.protocol import Opening, Tunnel, decline
from port_hook_cli.tunnels.registry import AUTO, NO_TUNNEL, OWN_URL, TunnelChoice, is_relay
from port_hook_cli.tunnels.report import TunnelReport

Follow = Callable[[str], Awaitable[None]]

_MIN_KEEPALIVE_S, _MAX_KEEPALIVE_S = 1.0, 5.0


@frozen(kw_only=True)
class TunnelOptions:
    """The tunnel that a session opens, or the URL of the user's own tunnel.

    The listener checks the public URL every `probe_interval_s` seconds. 0 disables the check. The session ends after
    `exit_after_s` seconds without a working tunnel. None means that the session never ends for this reason.
    """

    choice: TunnelChoice = NO_TUNNEL
    accept_host_key: str | None = None
    probe_interval_s: float = 30.0
    exit_after_s: float | None = None

    @property
    def public_url(self) -> str | None:
        """The URL of the tunnel that the user runs, or None."""
        return self.choice.address if self.choice.provider == OWN_URL else None

    @property
    def keepalive_s(self) -> float:
        """The number of seconds between two keepalive messages to the server.

        This is the probe interval, limited to the range from 1 to 5 seconds.
        """
        if not self.probe_interval_s:
            return _MAX_KEEPALIVE_S
        return min(max(self.probe_interval_s, _MIN_KEEPALIVE_S), _MAX_KEEPALIVE_S)


@frozen
class OpenedTunnel:
    """An open tunnel, and the choice that opened it."""

    tunnel: Tunnel
    choice: TunnelChoice


async def open_public_url(options: TunnelOptions, opening: Opening, serving: Serving) -> OpenedTunnel | None:
    """Open the tunnel of `--tunnel`, if any. The tunnel is closed after the last response is sent."""
    opened = await _open(options, opening)
    if opened is not None:
        serving.public.move_to(opened.tunnel.url)
        serving.after_drain.push_async_callback(opened.tunnel.close)
    return opened


class WatchedTunnel:
    """The tunnel of a session. This class checks the open tunnel, and reopens a lost tunnel.

    `report` receives each change, with the URL to paste. `follow` is awaited with each new URL to paste, except the
    first URL. A PortHookError of `follow` becomes a notice.
    """

    def __init__(
        self,
        opened: OpenedTunnel,
        opening: Opening,
        serving: Serving,
        options: TunnelOptions,
        *,
        mount: str,
        report: Callable[[TunnelReport], None],
        follow: Follow | None = None,
    ) -> None:
        self.is_relay = is_relay(opened.choice)
        self._mount, self._notice, self._report, self._follow = mount, opening.notice, report, follow
        self._keeping: asyncio.Task[None] | None = None
        self._keeper = Keeper(
            opened.tunnel,
            _reopen(opened.choice, opening, serving.public),
            probe_path=serving.probe_endpoint.path,
            token=serving.probe_endpoint.token,
            report=self._changed,
            notice=opening.notice,
            moved=self._moved,
            probe_interval_s=options.probe_interval_s,
        )
        serving.after_drain.push_async_callback(self._keeper.close)

    @property
    def public_url(self) -> str:
        """The current URL to paste."""
        return with_mount(self._keeper.latest.url, self._mount)

    @property
    def report(self) -> TunnelReport:
        """The latest state of the tunnel."""
        return replace(self._keeper.latest, url=self.public_url)

    @property
    def lost_count(self) -> int:
        """How often the tunnel was lost."""
        return self._keeper.lost_count

    def begin(self) -> None:
        """Start to watch the tunnel."""
        self._keeping = asyncio.create_task(self._keeper.keep())
        self._keeping.add_done_callback(self._ended)

    async def leave(self) -> None:
        """Stop watching the tunnel, which stays open for the requests in progress."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})

    def _changed(self, change: TunnelReport) -> None:
        before = change.previous_url
        pasted = with_mount(before, self._mount) if before else None
        self._report(replace(change, url=with_mount(change.url, self._mount), previous_url=pasted))

    async def _moved(self, url: str) -> None:
        if self._follow is None:
            return
        try:
            await self._follow(with_mount(url, self._mount))
        except PortHookError as problem:
            self._notice(f"error: {problem.message} {problem.hint}".rstrip())

    def _ended(self, keeping: asyncio.Task[None]) -> None:
        if not keeping.cancelled() and (error := keeping.exception()):
            self._notice(f"error: port-hook no longer checks the tunnel: {type(error).__name__}: {error}")


async def _open(options: TunnelOptions, opening: Opening) -> OpenedTunnel | None:
    choice = options.choice
    if options.public_url:
        return OpenedTunnel(UserTunnel(options.public_url), choice)
    if choice == NO_TUNNEL:
        return None
    if choice == AUTO:
        found = await open_first_usable(opening)
        return None if found is None else OpenedTunnel(*found)
    return OpenedTunnel(await open_tunnel(choice, opening), choice)


def _reopen(
    choice: TunnelChoice, opening: Opening, public: PublicAddress
) -> Callable[[str | None], Awaitable[Tunnel]] | None:
    """Return a function that reopens the same tunnel, or None for a tunnel that the user runs.

    The function doesn't prompt, because the user may be away.
    """
    if choice.provider == OWN_URL:
        return None

    async def again(previous_url: str | None) -> Tunnel:
        tunnel = await open_tunnel(choice, replace(opening, ask=decline, previous_url=previous_url))
        public.move_to(tunnel.url)
        return tunnel

    return again


def with_mount(url: str, mount: str) -> str:
    """Return the public URL to paste: the URL of the tunnel with the path of the listener's endpoint.

    If the URL of the user's own tunnel has a path, it is returned unchanged.
    """
    return url.rstrip("/") + mount if urlsplit(url).path in {"", "/"} else url
