"""Retargets actions to a listener and restores them: journal first, then Port, so that a kill can be undone.

Before each PUT, the journal has the original action and the next URL; after it, the action as Port shows it. An action
is restored only if it is in one of these states, so that changes by other people are not overwritten.
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
    """Restore one action and delete its entry, unless someone else has changed the action. Never raises.

    `overwrite` also undoes changes by someone else. `dry_run` changes nothing, and the outcome is the same. The caller
    releases the claim.
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
    """The actions of one listener: call `prepare`, show `lines`, `apply` each new URL, and `restore` at the end.

    `now` returns seconds since the epoch. `on_outcome` is called with the outcome of each restored action.
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
        """Read the actions and claim them, without changing them.

        Raises RetargetError with each action that cannot be retargeted or that another process has retargeted,
        PortApiError, and StoreError for an unusable journal. Call `restore` even then.
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
        """Return lines that describe what `apply` with this URL will change."""
        lines = []
        for held in self._held:
            change = plan_change(held.entry.original, url)
            if not isinstance(change, Refusal):
                lines += change_lines(held.entry, held.seen, change)
        return lines

    async def apply(self, url: str) -> None:
        """Retarget all actions to `url`. Call it again when the listener gets another URL.

        Raises RetargetError for an action that someone else has changed, PortApiError and StoreError, after all actions
        were tried. Cancellation does not interrupt a PUT in progress.
        """
        self._applying = asyncio.create_task(self._apply(url))
        self._applying.add_done_callback(_retrieve)
        await asyncio.shield(self._applying)

    async def restore(self, *, within_s: float = RESTORE_WITHIN_S) -> tuple[Outcome, ...]:
        """Restore all changed actions; a second call returns the same outcomes. Never raises PortHookError.

        A cancellation is raised after the actions are restored. After `within_s` seconds, the remaining actions fail
        and stay in the journal.
        """
        if self._restoring is None:
            self._restoring = asyncio.create_task(self._restore(within_s))
        return await _wait_uninterrupted(self._restoring)

    def _hold(self, identifier: str, action: Any) -> _Held:
        claim = self._journal.claim(self._api_url, str(action.get("id", "")), identifier)
        fresh = Entry(identifier=identifier, api_url=self._api_url, original=action, pid=self._pid, at=self._now())
        try:
            entry = claim.read()
            found = Standing.ORIGINAL if entry is None else entry.standing_of(action)
            if found in {Standing.CHANGED, Standing.ANOTHER}:
                raise RetargetError(
                    f"An earlier listener retargeted {identifier}, and someone has changed it since then.",
                    hint=f"Run `port-hook restore {identifier}` first.",
                )
        except PortHookError:
            claim.release()
            raise
        # An action that an earlier listener left is restored to that listener's original.
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
        # Before the first change, ORIGINAL is expected. Later it means that someone has restored the action.
        if found is not Standing.OURS and (found is not Standing.ORIGINAL or entry.left is not None):
            raise RetargetError(
                f"{entry.identifier} was changed in Port in the meantime, so it is not retargeted to {url}.",
                hint="Check the action in Port, and restart the listener.",
            )
        change = plan_change(entry.original, url)
        if isinstance(change, Refusal) or (same(settable(now), change.body) and not entry.urls):
            return  # it already has this URL
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
                    late = PortApiError(f"Port's API did not respond within {within_s:g} s.")
                    self._record(held, Outcome(entry=held.entry, end=End.FAILED, problem=late))
        finally:
            for held in self._held:
                held.claim.release()
        return tuple(held.outcome for held in self._held if held.outcome)

    async def _end(self, held: _Held) -> None:
        self._record(held, await put_back(self._api, held.claim, held.entry))

    def _record(self, held: _Held, outcome: Outcome) -> None:
        held.outcome = outcome
        self._on_outcome(outcome)


async def _wait_uninterrupted(task: asyncio.Task[T]) -> T:
    """Wait for `task` even if this task is canceled; raise the cancellation afterward."""
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
        except Exception:  # noqa: BLE001 - `task.result` raises it
            break
    if cancelled is not None:
        raise cancelled
    return task.result()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Retrieve the exception of a task that nothing awaits, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
