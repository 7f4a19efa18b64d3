"""Points actions and workflow nodes at a listener while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.targets import is_on_this_machine
from port_hook_cli.listener.session import Ask, Pointed, Pointing
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.retarget.entry import Outcome, PlannedChange
from port_hook_cli.retarget.session import retargeted
from port_hook_cli.retarget.view import outcome_lines, planned_lines
from port_hook_cli.runtime import Runtime

_QUESTION = "Change that in Port until this listener ends?"


def no_public_url() -> UsageError:
    """Return the error for `--retarget` without a tunnel or a sandbox."""
    hint = "Pass --tunnel auto, or --tunnel https://HOST for your own tunnel."
    return UsageError("--retarget needs a public URL, but no tunnel is open.", hint=hint)


def pointing_at(names: Sequence[str], access: PortAccess, runtime: Runtime, ask: Ask | None) -> Pointing:
    """Return what points actions and nodes (`WORKFLOW#NODE`) at a listener.

    `ask` shows the changes and asks for confirmation. Without `ask`, the changes are shown and made.
    """

    @asynccontextmanager
    async def pointed(public_url: str | None, local_url: str, notice: Callable[[str], None]) -> AsyncIterator[Pointed]:
        if public_url is None and not is_on_this_machine(access.settings.api_url):
            raise no_public_url()

        async def confirm(changes: Sequence[PlannedChange]) -> bool:
            lines = planned_lines(changes)
            if ask is not None:
                # Print the changes with the question. Another thread prints later notices.
                return await ask("\n".join((*lines, _QUESTION)))
            _notice_all(notice, lines)
            return True

        def on_event(event: Outcome | str) -> None:
            _notice_all(notice, [event] if isinstance(event, str) else outcome_lines(event))

        url = public_url or local_url
        async with retargeted(names, access, runtime, url, confirm=confirm, on_event=on_event) as retargeting:
            yield Pointed(retargeting.apply, retargeting.targets())

    return pointed


def _notice_all(notice: Callable[[str], None], lines: Sequence[str]) -> None:
    for line in lines:
        notice(line)
