"""Retargets actions and workflow nodes to a listener and restores them. Each change is journaled before it is made.

So a change can be undone even if the process is killed. Before each PUT, the journal contains the original and the next
URL. After the PUT, the journal contains Port's definition. An action or node is restored only if it is in one of these
states, so that changes by other people are not overwritten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from port_hook_cli.actions.retargeting import Rejection, Standing
from port_hook_cli.errors import PortApiError, PortHookError, RetargetError
from port_hook_cli.retarget.entry import End, Entry, Outcome, PlannedChange, split_name
from port_hook_cli.retarget.journal import Journal, JournalClaim
from port_hook_cli.workflows.retargeting import webhook_nodes, workflow_version

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi

RESTORE_WITHIN_S = 10.0
# The time for one GET and one PUT, with their retries, of another listener that replaces the same workflow.
TURN_WITHIN_S = 60.0
_PAUSE_S = 0.02
_KEPT_ENDS = {Standing.ANOTHER: End.ANOTHER, Standing.REMOVED: End.REMOVED}
T = TypeVar("T")


@dataclass(slots=True)
class _Held:
    claim: JournalClaim
    entry: Entry
    seen: Any
    is_written: bool = False
    outcome: Outcome | None = None


async def restore_entry(
    api: PortApi,
    claim: JournalClaim,
    entry: Entry,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    turn_within_s: float = TURN_WITHIN_S,
) -> Outcome:
    """Restore one action or node and delete its entry, unless someone else has changed the action or node.

    `overwrite` also undoes changes by someone else. `dry_run` returns the same outcome without a change. The restore
    fails if another listener on this machine replaces the same workflow for longer than `turn_within_s` seconds. The
    caller releases the claim. Never raises PortHookError.
    """
    now, version = None, None
    try:
        async with _turn(claim, entry, turn_within_s):
            now = await _read(api, entry)
            found = entry.standing_of(now)
            if found in _KEPT_ENDS:
                return Outcome(entry=entry, end=_KEPT_ENDS[found], now=now)
            if found is Standing.CHANGED and not overwrite:
                return Outcome(entry=entry, end=End.CHANGED, now=now)
            if not dry_run and found is not Standing.ORIGINAL:
                shown = await _put(api, entry, entry.restored(now))
                version = workflow_version(shown) if entry.node else None
        if not dry_run:
            claim.finish()
    except PortHookError as problem:
        return Outcome(entry=entry, end=End.FAILED, now=now, problem=problem)
    end = End.UNTOUCHED if found is Standing.ORIGINAL else End.RESTORED
    return Outcome(entry=entry, end=end, now=now, version=version)


class Retargeting:
    """The actions and workflow nodes of one listener.

    Call `prepare`, show `changes`, call `apply` with each new URL, and call `restore` at the end. `now` returns seconds
    since the epoch. `on_outcome` is called with the outcome of each action and node.
    """

    def __init__(
        self,
        *,
        api: PortApi,
        journal: Journal,
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

    async def prepare(self, names: Iterable[str]) -> None:
        """Read the actions and nodes (`WORKFLOW#NODE`) and claim them, without changing them.

        Raises RetargetError with each name that cannot be retargeted or that another process has retargeted. Also
        raises PortApiError, StoreError for an unusable journal, and UsageError for an incomplete name. Call `restore`
        even after an error.
        """
        refusals = []
        for name in dict.fromkeys(names):
            identifier, node = split_name(name)
            fresh = Entry(
                identifier=identifier, node=node, api_url=self._api_url, original={}, pid=self._pid, at=self._now()
            )
            shown = await _read_new(self._api, fresh)
            fresh = fresh.beginning(shown)
            planned = fresh.change_to("", shown)
            if isinstance(planned, Rejection):
                refusals.append(f"{name} {planned.reason}")
            elif not refusals:
                self._held.append(self._hold(fresh, shown))
        if refusals:
            raise RetargetError(f"{'; '.join(refusals)}.", hint="Nothing was changed. Omit it from --retarget.")

    def targets(self) -> dict[str, str | None]:
        """Return the name of each action or node by the path and query of its URL, or None if several have the same.

        Anyone may send requests to `/`, so they are not included.
        """
        names: dict[str, str | None] = {}
        for entry in (held.entry for held in self._held):
            names[entry.target] = None if entry.target in names else entry.name
        names.pop("/", None)
        return names

    def changes(self, url: str) -> tuple[PlannedChange, ...]:
        """Return the changes that `apply` will make with this URL."""
        planned = ((held, held.entry.change_to(held.entry.url_at(url), held.seen)) for held in self._held)
        return tuple(
            PlannedChange(held.entry, held.seen, change)
            for held, change in planned
            if not isinstance(change, Rejection)
        )

    async def apply(self, url: str) -> None:
        """Retarget all actions and nodes to `url`. Call this again when the listener gets a new URL.

        Tries all actions and nodes, then raises RetargetError for any that someone else has changed, PortApiError or
        StoreError. A cancellation does not interrupt a PUT in progress.
        """
        self._applying = asyncio.create_task(self._apply(url))
        self._applying.add_done_callback(_retrieve)
        await asyncio.shield(self._applying)

    async def restore(self, *, within_s: float = RESTORE_WITHIN_S) -> tuple[Outcome, ...]:
        """Restore all actions and nodes. A second call returns the same outcomes. Never raises PortHookError.

        A cancellation is raised after the restore. After `within_s` seconds, the remaining restores fail, and their
        entries stay in the journal.
        """
        if self._restoring is None:
            self._restoring = asyncio.create_task(self._restore(within_s))
        return await _wait_uninterrupted(self._restoring)

    def _hold(self, fresh: Entry, shown: Mapping[str, Any]) -> _Held:
        claim = self._journal.claim(self._api_url, fresh.owner_id, fresh.name)
        try:
            entry = claim.read()
            found = Standing.ORIGINAL if entry is None else entry.standing_of(shown)
            if found not in {Standing.ORIGINAL, Standing.RETARGETED}:
                raise RetargetError(
                    f"An earlier listener retargeted {fresh.name}, and someone has since changed it.",
                    hint=f"Run `port-hook restore {fresh.name}` first.",
                )
        except PortHookError:
            claim.release()
            raise
        # If the entry of an earlier listener is continued, its original stays the original.
        return _Held(claim, fresh if entry is None or found is Standing.ORIGINAL else entry, shown)

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
        url = held.entry.url_at(url)
        async with _turn(held.claim, held.entry):
            now = await _read(self._api, held.entry)
            self._check_unchanged(held.entry, now, url)
            change = held.entry.change_to(url, now)
            if isinstance(change, Rejection) or not (change.differences or held.entry.urls):
                return  # the action or node already has this URL
            self._write(held, held.entry.intending(url))
            shown = await _put(self._api, held.entry, change.body)
        self._write(held, held.entry.marked(url, shown))

    @staticmethod
    def _check_unchanged(entry: Entry, now: Mapping[str, Any], url: str) -> None:
        found = entry.standing_of(now)
        # Before the first change, ORIGINAL is expected. After it, ORIGINAL means that someone has restored the URL.
        if found is not Standing.RETARGETED and (found is not Standing.ORIGINAL or entry.left is not None):
            raise RetargetError(
                f"{entry.name} has changed in Port, so port-hook does not retarget it to {url}.",
                hint=f"Check the {'workflow' if entry.node else 'action'} in Port, and restart the listener.",
            )

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
        self._record(held, await restore_entry(self._api, held.claim, held.entry))

    def _record(self, held: _Held, outcome: Outcome) -> None:
        held.outcome = outcome
        self._on_outcome(outcome)


async def _read(api: PortApi, entry: Entry) -> Mapping[str, Any]:
    return await (api.get_workflow if entry.node else api.get_action)(entry.identifier)


async def _read_new(api: PortApi, entry: Entry) -> Mapping[str, Any]:
    """Return the result of `_read`.

    If the name belongs to a workflow, raise RetargetError with the workflow's nodes.
    """
    try:
        return await _read(api, entry)
    except PortApiError as no_action:
        if entry.node or no_action.status != HTTPStatus.NOT_FOUND:
            raise
        try:
            workflow = await api.get_workflow(entry.identifier)
        except PortApiError:
            raise no_action from None
        names = [f"{entry.identifier}#{node}" for node in webhook_nodes(workflow)]
        listed = f"Its WEBHOOK nodes: {', '.join(names)}." if names else "It has no WEBHOOK node."
        raise RetargetError(
            f"{entry.identifier} is a workflow, and --retarget changes the URL of one of its WEBHOOK nodes.",
            hint=f"Specify the node: --retarget {entry.identifier}#NODE. {listed}",
        ) from no_action


async def _put(api: PortApi, entry: Entry, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return await (api.put_workflow if entry.node else api.put_action)(entry.identifier, body)


@contextlib.asynccontextmanager
async def _turn(claim: JournalClaim, entry: Entry, within_s: float = TURN_WITHIN_S) -> AsyncIterator[None]:
    """Prevent other listeners on this machine from replacing the workflow of `entry` between its GET and its PUT.

    A retargeted action has its own claim, so it doesn't need a turn.
    """
    if not entry.node:
        yield
        return
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_s
    while (turn := claim.take_turn(entry)) is None:
        if clock() > deadline:
            raise RetargetError(
                f"Another listener on this machine has been changing the workflow {entry.identifier} for"
                f" {within_s:g} s.",
                hint="Try again when it has finished.",
            )
        await asyncio.sleep(_PAUSE_S)
    try:
        yield
    finally:
        turn.release()


async def _wait_uninterrupted(task: asyncio.Task[T]) -> T:
    """Wait for `task` even if the current task is canceled. Raise the cancellation afterward."""
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
    """Retrieve the exception of an abandoned task, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
