"""Finds the runs in Port whose requests this store has missed, as sources of replays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from port_hook_cli.errors import StoreError
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.runs import PortRuns
from port_hook_cli.replay.sources import ReplaySource, from_run
from port_hook_cli.runs.missed import Missed, find_missed
from port_hook_cli.runs.port_run import IN_PROGRESS

if TYPE_CHECKING:
    from port_hook_cli.captures.store.reader import StoreReader
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.runs.port_run import PortRun

_MOST_BYTES = 256 * 1024 * 1024


@frozen(kw_only=True)
class MissedRuns:
    """Missed runs, oldest first, with their requests. `is_cut` means that Port has more runs than it listed.

    The `ended` runs were missed too, but a replay can't change their result.
    """

    found: Missed
    ended: Sequence[PortRun]
    sources: Sequence[ReplaySource]
    is_cut: bool


async def find_missed_runs(
    api: PortApi, kept: StoreReader | None, access: PortAccess, *, action: str | None, since_s: float | None
) -> MissedRuns:
    """Return the runs that have no capture and whose request went to a listener of this store.

    With `action`, the request may have gone anywhere. Raises PortApiError, StoreError and SettingsError.
    """
    listed = await PortRuns(api).list_all(name=action, is_active=True, with_requests=True)
    latest = await PortRuns(api).list_action_runs(action=action, with_requests=True)

    def missed(runs: Iterable[PortRun]) -> Missed:
        recent = [run for run in runs if since_s is None or (run.started_s or 0.0) >= since_s]
        return missed_among(recent, kept, access, is_anywhere=action is not None)

    found = missed(run for run in reversed(listed.runs) if run.status == IN_PROGRESS)
    ended = missed(run for run in latest.runs if run.has_ended).runs
    sources = [_source(run) for run in found.runs]
    if sum(len(source.invocation.body) for source in sources) > _MOST_BYTES:
        raise StoreError("The missed requests have more than 256 MiB of bodies.", hint="Send fewer with --since.")
    return MissedRuns(found=found, ended=ended, sources=sources, is_cut=listed.is_cut)


def missed_among(
    runs: Sequence[PortRun], kept: StoreReader | None, access: PortAccess, *, is_anywhere: bool = False
) -> Missed:
    """Return the missed runs among `runs`. With `is_anywhere`, their requests may have gone to any URL.

    Raises StoreError and SettingsError.
    """
    return find_missed(
        runs,
        kept.runs_among(each for run in runs for each in run.request_ids) if kept else (),
        None if is_anywhere else kept.addresses() if kept else (),
        api_is_here=access.is_api_on_this_machine,
        complete_since_s=kept.complete_since() if kept else 0.0,
    )


def _source(run: PortRun) -> ReplaySource:
    """Return the request of a run. The replay is saved, so that the store no longer misses the run."""
    source = from_run(run.id, run.payload)
    return replace(source, invocation=replace(source.invocation, replay_of=run.id), is_stored=True)
