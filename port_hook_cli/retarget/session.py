"""`listen --retarget`: asks for confirmation, retargets actions and workflow nodes, and restores them at the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from port_hook_cli.errors import RetargetError, UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.entry import End, Outcome
from port_hook_cli.retarget.flow import Retargeting
from port_hook_cli.retarget.journal import Journal
from port_hook_cli.retarget.view import conflict_lines, restore_message
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.prompts import can_ask, confirm_in_loop
from port_hook_cli.text.safe import printable

_QUESTION = "Change that in Port until this listener ends?"


@asynccontextmanager
async def retargeted(
    names: Sequence[str],
    settings: Settings,
    runtime: Runtime,
    url: str,
    *,
    yes: bool,
    notice: Callable[[str], None],
    api_timeout_s: float = API_TIMEOUT_S,
) -> AsyncIterator[Retargeting]:
    """Retarget actions and workflow nodes to the public `url`; call `apply` on the result when the URL changes.

    `names` are identifiers of actions, and nodes as `WORKFLOW#NODE`.

    Shows the changes and asks for confirmation, unless `yes` is set. Raises UsageError if it has to ask and cannot,
    RetargetError if the user declines or something cannot be retargeted, SettingsError, PortApiError and StoreError.
    On exit, also after an exception or a cancellation, everything is restored within 10 s, with a notice for each.
    """

    def report(outcome: Outcome) -> None:
        for line in outcome_lines(outcome):
            notice(line)

    if not (yes or can_ask(runtime)):
        raise UsageError(
            "--retarget makes changes in Port and needs confirmation, but there is no terminal.", hint="Add --yes."
        )
    async with open_port_api(settings, runtime, timeout_s=api_timeout_s, on_retry=notice) as api:
        retargeting = Retargeting(
            api=api,
            journal=Journal(runtime.home),
            api_url=settings.api_url,
            now=runtime.now,
            pid=os.getpid(),
            on_outcome=report,
        )
        try:
            await retargeting.prepare(names)
            lines = retargeting.lines(url)
            if yes:
                for line in lines:
                    notice(line)
            # Printed together with the question, because another thread prints notices later.
            elif not await confirm_in_loop("\n".join((*lines, _QUESTION)), runtime, default=False):
                raise RetargetError("Nothing was changed in Port.", hint="Start without --retarget, or answer yes.")
            await retargeting.apply(url)
            yield retargeting
        finally:
            await retargeting.restore()


def outcome_lines(outcome: Outcome) -> list[str]:
    """Return the notice about one action or node when the listener ends."""
    name = printable(outcome.entry.name)
    if outcome.end is End.CHANGED:
        conflict = conflict_lines(outcome.entry, outcome.now or {})
        return [
            f"{name} was changed in Port by someone else and is not restored:",
            *conflict,
            f"To undo this or to keep it: port-hook restore {name}",
        ]
    message = restore_message(outcome)
    if outcome.is_done:
        return [f"{name} {message}"]
    next_step = "To try again" if outcome.end is End.REMOVED else "To restore it"
    return [f"{name} {message}", f"{next_step}: port-hook restore {name}"]
