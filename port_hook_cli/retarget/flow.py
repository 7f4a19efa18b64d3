"""Point actions at a listener and put them back: journal first, then Port, so that a kill at any point can be undone.

Before each PUT the journal holds the original and the URL that is about to be set; after it, how Port shows the
action. An action is put back only when it is found as one of those, so nobody else's change is overwritten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from port_hook_cli.actions.retargeting import Refusal, Standing, plan_change, same, settable
from port_hook_cli.errors import PortApiError, PortHookError, RetargetError
from port_hook_cli.retarget.entry import Entry
from port_hook_cli.retarget.outcome import End, Outcome
from port_hook_cli.retarget.protocols import ActionApi, ActionClaim, ActionJournal
from port_hook_cli.retarget.view import change_lines

RESTORE_WITHIN_S = 10.0
T = TypeVar("T")


@dataclass(slots=True)
class _Held:
    claim: ActionClaim
    entry: Entry
    seen: Any
    is_written: bool = False
    outcome: Outcome | None = None


async def put_back(
    api: ActionApi, claim: ActionClaim, entry: Entry, *, overwrite: bool = False, dry_run: bool = False
) -> Outcome:
    """Put one action back and take it out of the journal, unless somebody else has changed it. Never raises.

    With `overwrite` a change of somebody else's is undone, too; with `dry_run` nothing is changed, but the outcome is
    the same. The claim is the caller's to release.
    """
    now = None
    try:
        now = await api.get_action(entry.identifier)
        found = entry.standing_of(now)
        if found is Standing.ANOTHER:
            return Outcome(entry=entry, end=End.ANOTHER, now=now)
        if found is Standing.CHANGED and not overwrite:
            return Outcome(entry=entry, end=End.CHANGED, now=now)
        if not dry_run:
            if found is not Standing.ORIGINAL:
                await api.put_action(entry.identifier, settable(entry.original))
            claim.finish()
    except PortHookError as problem:
        return Outcome(entry=entry, end=End.FAILED, now=now, problem=problem)
    return Outcome(entry=entry, end=End.UNTOUCHED if found is Standing.ORIGINAL else End.RESTORED, now=now)


class Retargeting:
    """The actions of one listener: `prepare`, show `lines`, `apply` each URL that it gets, and `restore` at the end.

    `now` returns seconds since the epoch. `on_outcome` is told of each action when it is known how its restoring went.
    """

    def __init__(
        self,
        *,
        api: ActionApi,
        journal: ActionJournal,
        api_url: str,
        now: Callable[[], float],
        pid: int = 0,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._journal = journal
        self._api_url = api_url
        self._now = now
        self._pid = pid
        self._on_outcome = on_outcome
        self._held: list[_Held] = []
        self._busy = asyncio.Lock()
        self._applying: asyncio.Task[None] | None = None
        self._restoring: asyncio.Task[tuple[Outcome, ...]] | None = None

    async def prepare(self, identifiers: Iterable[str]) -> None:
        """Read the actions and claim them; changes nothing.

        Raises RetargetError that names each action that cannot be pointed elsewhere or is pointed by another process,
        PortApiError, and StoreError for a journal that cannot be used. `restore` is due all the same.
        """
        refusals = []
        for identifier in dict.fromkeys(identifiers):
            action = await self._api.get_action(identifier)
            planned = plan_change(action, "")
            if isinstance(planned, Refusal):
                refusals.append(f"{identifier} {planned.reason}")
            elif not refusals:
                self._held.append(self._hold(identifier, action))
        if refusals:
            raise RetargetError(f"{'; '.join(refusals)}.", hint="Nothing was changed. Leave it out of --retarget.")

    def lines(self, url: str) -> list[str]:
        """Return what `apply` with this URL will change, in lines for a person."""
        lines = []
        for held in self._held:
            change = plan_change(held.entry.original, url)
            if not isinstance(change, Refusal):
                lines += change_lines(held.entry, held.seen, change)
        return lines

    async def apply(self, url: str) -> None:
        """Point every action at `url`; again with another URL when the listener gets one.

        Raises RetargetError for an action that somebody else has changed meanwhile, PortApiError and StoreError, after
        the other actions were tried. Being cancelled stops the waiting only: a PUT under way is not torn.
        """
        self._applying = asyncio.create_task(self._apply(url))
        self._applying.add_done_callback(_retrieve)
        await asyncio.shield(self._applying)

    async def restore(self, *, within_s: float = RESTORE_WITHIN_S) -> tuple[Outcome, ...]:
        """Put everything back that was changed; a second call gives the same outcomes. Never raises PortHookError.

        A cancellation is passed on when that is done. After `within_s` seconds it gives up; the journal stays.
        """
        if self._restoring is None:
            self._restoring = asyncio.create_task(self._restore(within_s))
        return await _outlast(self._restoring)

    def _hold(self, identifier: str, action: Any) -> _Held:
        claim = self._journal.claim(self._api_url, str(action.get("id", "")), identifier)
        fresh = Entry(identifier=identifier, api_url=self._api_url, original=action, pid=self._pid, at=self._now())
        try:
            entry = claim.read()
            found = Standing.ORIGINAL if entry is None else entry.standing_of(action)
            if found in {Standing.CHANGED, Standing.ANOTHER}:
                raise RetargetError(
                    f"A listener that has ended pointed {identifier} elsewhere, and somebody has changed it since.",
                    hint=f"Settle that first: port-hook restore {identifier}",
                )
        except PortHookError:
            claim.release()
            raise
        # What an ended listener left is taken over with its original: at the end it goes back to that.
        return _Held(claim, fresh if entry is None or found is Standing.ORIGINAL else entry, action)

    async def _apply(self, url: str) -> None:
        problems = []
        async with self._busy:
            for held in self._held:
                if self._restoring is not None:
                    return
                try:
                    await self._point(held, url)
                except PortHookError as problem:
                    problems.append(problem)
        if len(problems) > 1:
            raise RetargetError(" ".join(problem.message for problem in problems), hint=problems[0].hint)
        if problems:
            raise problems[0]

    async def _point(self, held: _Held, url: str) -> None:
        entry = held.entry
        now = await self._api.get_action(entry.identifier)
        found = entry.standing_of(now)
        # As it was at first: the first change is to come. Later that means that somebody has put it back.
        if found is not Standing.OURS and (found is not Standing.ORIGINAL or entry.left is not None):
            raise RetargetError(
                f"{entry.identifier} was changed in Port meanwhile, so it is not pointed at {url}.",
                hint="Look at it in Port, and start the listener again.",
            )
        change = plan_change(entry.original, url)
        if isinstance(change, Refusal) or (same(settable(now), change.body) and not entry.urls):
            return  # it points there of itself
        self._write(held, entry.intending(url))
        self._write(held, held.entry.marked(url, await self._api.put_action(entry.identifier, change.body)))

    def _write(self, held: _Held, entry: Entry) -> None:
        held.claim.write(entry)
        held.entry, held.is_written = entry, True

    async def _restore(self, within_s: float) -> tuple[Outcome, ...]:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s), self._busy:
                    await asyncio.gather(*(self._end(held) for held in self._held if held.is_written))
            if self._applying is not None:
                self._applying.cancel()
            for held in self._held:
                if held.is_written and held.outcome is None:
                    late = PortApiError(f"Port's API did not answer within {within_s:g} s.")
                    self._tell(held, Outcome(entry=held.entry, end=End.FAILED, problem=late))
        finally:
            for held in self._held:
                held.claim.release()
        return tuple(held.outcome for held in self._held if held.outcome)

    async def _end(self, held: _Held) -> None:
        self._tell(held, await put_back(self._api, held.claim, held.entry))

    def _tell(self, held: _Held, outcome: Outcome) -> None:
        held.outcome = outcome
        self._on_outcome(outcome)


async def _outlast(task: asyncio.Task[T]) -> T:
    """Wait for `task` whatever happens to the waiting one; a cancellation is raised afterwards."""
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
        except Exception:  # noqa: BLE001 - raised below, from its task
            break
    if cancelled is not None:
        raise cancelled
    return task.result()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at a failure that nobody waits for any more, or asyncio would complain of it."""
    if not task.cancelled():
        task.exception()
