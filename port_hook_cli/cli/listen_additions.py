"""What the options of a feature add to `listen`. A feature's row names its groups of options."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, TypeVar

from port_hook_cli.frozen import frozen

if TYPE_CHECKING:
    from port_hook_cli.invocations.source import OpenSource
    from port_hook_cli.listener.observers import Observer
    from port_hook_cli.listener.public_url import TunnelOptions
    from port_hook_cli.listener.screen import Reveal
    from port_hook_cli.listener.serving import ListenPlan
    from port_hook_cli.listener.session import Companion, Pointing
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.runtime import Runtime
    from port_hook_cli.terminal.prompts import Ask

T = TypeVar("T")


@frozen(kw_only=True)
class Listen:
    """What features' options of `listen` depend on.

    `ask` is None if no user can answer questions, and `is_confirmed` is true with `--yes`. `has_sandbox`
    means that Port's API is on this machine.
    """

    runtime: Runtime
    access: PortAccess
    ask: Ask | None
    is_confirmed: bool
    tunnel: TunnelOptions
    has_sandbox: bool
    has_handler: bool
    is_verified: bool
    private_key: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Addition:
    """What a feature adds to a session.

    `watching` takes the screen and a set, and returns observers that add the IDs of ended runs to the set. `reports`
    means that the results of runs are reported. `open_page` opens a page in the browser.
    """

    sources: Sequence[OpenSource] = ()
    observers: Sequence[Observer] = ()
    watching: Callable[[Observer, set[str]], Sequence[Observer]] | None = None
    companions: Sequence[Companion] = ()
    pointing: Pointing | None = None
    reveal: Reveal | None = None
    open_page: Callable[[], None] | None = None
    reports: bool = False


NOTHING = Addition()


class ListenOptions:
    """A group of options that a feature adds to `listen`. A subclass is also an `option_group`."""

    @property
    def replaces_tunnel(self) -> bool:
        """Whether invocations arrive without a tunnel."""
        return False

    @property
    def needs_access(self) -> bool:
        """Whether credentials for Port's API are needed."""
        return False

    @property
    def named_nodes(self) -> Collection[str]:
        """The workflow nodes (`WORKFLOW#NODE`) whose names the listener adds to their requests."""
        return ()

    def refuse(self, listen: Listen) -> None:
        """Raise UsageError for wrong options. Nothing is open yet, and no secret was read."""

    def addition(self, listen: Listen, plan: ListenPlan) -> Addition:
        """Return what the options add. `plan` is complete."""
        del listen, plan
        return NOTHING


def merged(additions: Iterable[Addition]) -> Addition:
    """Return all additions as one."""
    found = list(additions)
    return Addition(
        sources=[each for one in found for each in one.sources],
        observers=[each for one in found for each in one.observers],
        watching=lambda screen, settled: [
            each for one in found if one.watching is not None for each in one.watching(screen, settled)
        ],
        companions=[each for one in found for each in one.companions],
        pointing=_only(one.pointing for one in found),
        reveal=_only(one.reveal for one in found),
        open_page=_only(one.open_page for one in found),
        reports=any(one.reports for one in found),
    )


def _only(values: Iterable[T | None]) -> T | None:
    given = [value for value in values if value is not None]
    if len(given) > 1:
        raise AssertionError("two features add the same part of a session")
    return given[0] if given else None
