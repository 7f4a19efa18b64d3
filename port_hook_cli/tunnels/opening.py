"""Opening a tunnel: the chosen one, the first usable one of `auto`, or the URL of a tunnel that the user runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from port_hook_cli.errors import TunnelError, UsageError
from port_hook_cli.tunnels.protocol import NotUsable, Opening, Tunnel, Usable, probe
from port_hook_cli.tunnels.registry import Automatic, TunnelChoice, automatic, find_provider
from port_hook_cli.tunnels.report import ProbeResult


async def open_tunnel(choice: TunnelChoice, opening: Opening) -> Tunnel:
    """Open the chosen tunnel; raises TunnelError when it does not open in time, UsageError for a choice without one."""
    provider = find_provider(choice)
    if provider is None:
        raise UsageError(f"--tunnel {choice.name} does not name a tunnel to open.", hint="Name one with `--tunnel`.")
    open_: Callable[[Opening], Awaitable[Tunnel]] = resolve_name(provider.opener)
    return await open_(replace(opening, address=choice.address))


class Check(Protocol):
    """A provider's check whether it is usable."""

    def __call__(self, environ: Mapping[str, str], home: Path, *, can_ask: bool) -> Usable | NotUsable:
        """Return why the provider is usable or not. Opens and downloads nothing."""


def no_tunnel_lines() -> tuple[str, ...]:
    """Return what a user reads when `auto` opens no tunnel."""
    *steps, last = (auto.setup for _, auto in automatic())
    return (
        "No tunnel is open, so Port cannot call this listener. Use `--tunnel none` to hide this message.",
        f"To get a public URL, {', '.join(steps)}, or {last}. `port-hook doctor` says what is missing.",
    )


async def open_first_usable(opening: Opening) -> tuple[Tunnel, TunnelChoice] | None:
    """Return the first tunnel that opens, with its choice, or None. Each attempt and each failure is a notice."""
    for choice, usable in _usable_tunnels(opening):
        if usable.question and not await opening.ask(usable.question):
            continue
        opening.notice(
            f"Opening a tunnel with {choice.name} because {usable.reason}. Use --tunnel none to open no tunnel."
        )
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
    """Return whether `--tunnel auto` can use a provider here, and why."""
    check: Check = resolve_name(auto.check)
    return check(environ, home, can_ask=can_ask)


class UserTunnel:
    """A tunnel that the user runs; see `port_hook_cli.tunnels.protocol.Tunnel`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def health(self) -> str:
        """Return "": only a probe can tell whether the tunnel works."""
        return ""

    async def probe(self, path: str, token: str) -> ProbeResult:
        """Request `path` through the public URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait indefinitely: port-hook cannot notice that the tunnel ends."""
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        """Do nothing: the tunnel is the user's."""
