"""Finds the runs in Port whose requests this store has missed, as sources of replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from port_hook_cli.errors import StoreError
from port_hook_cli.frozen import frozen
from port_hook_cli.port_api.runs import PortRuns
from port_hook_cli.replay.sources import ReplaySource, from_run
from port_hook_cli.runs.missed import find_missed, missed_node_runs
from port_hook_cli.runs.port_run import IN_PROGRESS

if TYPE_CHECKING:
    from port_hook_cli.captures.store.reader import StoreReader
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.runs.port_run import PortRun

_MOST_BYTES = 256 * 1024 * 1024


@frozen(kw_only=True)
class MissedRuns:
    """Missed action runs, oldest first, with their requests, and node runs whose requests Port doesn't return.

    The requests of the `anonymous` runs don't contain the run ID, so they may be captured, and are left out.

    `is_cut` means that Port has more runs than it listed.
    """

    runs: Sequence[PortRun]
    sources: Sequence[ReplaySource]
    node_runs: Sequence[PortRun]
    anonymous: Sequence[PortRun]
    is_cut: bool


async def find_missed_runs(
    api: PortApi, kept: StoreReader | None, access: PortAccess, *, action: str | None, since_s: float | None
) -> MissedRuns:
    """Return the runs that are IN_PROGRESS, have no capture, and whose request went to a listener of this store.

    With `action`, the request may have gone anywhere. Raises PortApiError, StoreError and SettingsError.
    """
    listed = await PortRuns(api).list_all(name=action, is_active=True, with_requests=True)
    runs = [
        run
        for run in listed.runs
        if run.status == IN_PROGRESS and (since_s is None or (run.started_s or 0.0) >= since_s)
    ]
    captured = kept.runs_among(each for run in runs for each in run.request_ids) if kept else set()
    addresses = None if action else kept.addresses() if kept else set()
    found = find_missed(runs, captured, addresses, api_is_here=access.is_api_on_this_machine)[::-1]
    missed = [run for run in found if not run.has_anonymous_request]
    sources = [_source(run) for run in missed]
    if sum(len(source.invocation.body) for source in sources) > _MOST_BYTES:
        raise StoreError("The missed requests have more than 256 MiB of bodies.", hint="Send fewer with --since.")
    return MissedRuns(
        runs=missed,
        sources=sources,
        node_runs=missed_node_runs(runs, captured),
        anonymous=[run for run in found if run.has_anonymous_request],
        is_cut=listed.is_cut,
    )


def _source(run: PortRun) -> ReplaySource:
    """Return the request of a run. The replay is saved, so that the store no longer misses the run."""
    source = from_run(run.id, {"payload": run.payload})
    return replace(source, invocation=replace(source.invocation, replay_of=run.id), is_stored=True)
