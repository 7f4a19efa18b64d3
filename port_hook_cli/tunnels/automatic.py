"""`--tunnel auto`: the first provider that is usable on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from port_hook_cli.errors import TunnelError
from port_hook_cli.tunnels.opening import open_tunnel
from port_hook_cli.tunnels.protocol import NotUsable, Opening, Tunnel, Usable
from port_hook_cli.tunnels.registry import Automatic, TunnelChoice, automatic


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
