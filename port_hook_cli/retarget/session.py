"""Retarget actions and workflow nodes while a listener runs, and restore what a killed listener left behind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import TypeAlias

from port_hook_cli.errors import RetargetError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.retarget.entry import End, Entry, Outcome, PlannedChange
from port_hook_cli.retarget.flow import Retargeting, restore_entry
from port_hook_cli.retarget.journal import Journal, Kept
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import printable

Confirm: TypeAlias = Callable[[Sequence[PlannedChange]], Awaitable[bool]]
"""A function that shows the changes and returns whether port-hook may make them."""


@asynccontextmanager
async def retargeted(
    names: Sequence[str],
    access: PortAccess,
    runtime: Runtime,
    url: str,
    *,
    confirm: Confirm,
    on_event: Callable[[Outcome | str], None],
) -> AsyncIterator[Retargeting]:
    """Retarget actions and workflow nodes to the public `url`. Call `apply` on the result when the URL changes.

    `names` are actions, or nodes as `WORKFLOW#NODE`. `confirm` is asked before the first change. Raises RetargetError
    if `confirm` declines or something cannot be retargeted, and SettingsError, PortApiError and StoreError. On exit,
    even after an exception or a cancellation, all actions and nodes are restored within 10 s. `on_event` is called with
    the outcome of each restored action and node, and with a message before each retry of a call.
    """
    async with access.client(on_retry=on_event) as api:
        retargeting = Retargeting(
            api=api,
            journal=Journal(runtime.home),
            api_url=access.settings.api_url,
            now=runtime.now,
            pid=os.getpid(),
            on_outcome=on_event,
        )
        try:
            await retargeting.prepare(names)
            if not await confirm(retargeting.changes(url)):
                raise RetargetError("Nothing was changed in Port.", hint="Start without --retarget, or confirm with y.")
            await retargeting.apply(url)
            yield retargeting
        finally:
            await retargeting.restore()


@frozen(kw_only=True)
class Leftovers:
    """The files in the journal, or only the files with some names.

    The files in `found` can be restored, the files in `held` are in use by a running listener, and the files in
    `unreadable` have no entry.
    """

    found: tuple[Kept, ...]
    held: tuple[Kept, ...]
    unreadable: tuple[Kept, ...]


def find_leftovers(journal: Journal, names: Sequence[str]) -> Leftovers:
    """Return the files that listeners left in the journal under these names, or all files if there are no names.

    Raises UsageError if something is retargeted, but not one of `names`.
    """
    files = journal.kept()
    known = {kept.entry.name: None for kept in files if kept.entry}
    unknown = [name for name in names if name not in known]
    if known and unknown:
        is_one = len(unknown) == 1
        raise UsageError(
            f"{', '.join(map(printable, unknown))} {'is' if is_one else 'are'} not retargeted. "
            f"Retargeted: {', '.join(map(printable, known))}."
        )
    wanted = [kept for kept in files if kept.entry and (not names or kept.entry.name in names)]
    return Leftovers(
        found=tuple(kept for kept in wanted if not kept.is_held),
        held=tuple(kept for kept in wanted if kept.is_held),
        unreadable=() if names else tuple(kept for kept in files if kept.entry is None),
    )


async def restore(
    leftovers: Sequence[Kept],
    journal: Journal,
    access: PortAccess,
    *,
    may_overwrite: Callable[[Outcome], Awaitable[bool]],
    dry_run: bool = False,
    on_retry: Callable[[str], None] = lambda _: None,
) -> tuple[Outcome, ...]:
    """Restore the actions and nodes that listeners left behind, and return one outcome for each entry, in this order.

    Entries for another API than the API of `access` are not touched. Entries that someone else has changed come last.
    `may_overwrite` is called with each of them, and returns whether to restore it. `dry_run` doesn't change anything in
    Port. Raises SettingsError, and StoreError for an unusable journal.
    """
    api_url = access.settings.api_url
    outcomes: list[Outcome] = []
    async with access.client(on_retry=on_retry) as api:

        async def end(kept: Kept, entry: Entry, *, overwrite: bool) -> Outcome:
            if entry.api_url != api_url:
                return Outcome(entry=entry, end=End.ELSEWHERE)
            with journal.reclaim(kept) or nullcontext() as claim:
                current = claim.read() if claim else None
                if claim is None or current is None:
                    return Outcome(entry=entry, end=End.IN_USE)
                return await restore_entry(api, claim, current, overwrite=overwrite, dry_run=dry_run)

        entries = [(kept, kept.entry) for kept in leftovers if kept.entry]
        outcomes = [await end(kept, entry, overwrite=False) for kept, entry in entries]
        disputed = [
            number
            for number, outcome in enumerate(outcomes)
            if outcome.end is End.CHANGED and await may_overwrite(outcome)
        ]
        for number in disputed:
            outcomes[number] = await end(*entries[number], overwrite=True)
    return tuple(outcomes)
