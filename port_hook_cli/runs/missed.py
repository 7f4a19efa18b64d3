"""Which runs in Port a store has missed: their requests went to its listeners, but it has no capture. This is pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.targets import address_of
from port_hook_cli.runs.port_run import PortRun, RunKind


@frozen(kw_only=True)
class Missed:
    """Missed action runs, and runs that are left out.

    The `deleted` runs started before `complete_since_s`, when the store's latest deleted capture arrived, so they may
    have been captured. So may the `anonymous` runs, whose requests don't contain the run ID. Port's API doesn't return
    the requests of the `node_runs`.
    """

    runs: Sequence[PortRun]
    deleted: Sequence[PortRun]
    anonymous: Sequence[PortRun]
    node_runs: Sequence[PortRun]
    complete_since_s: float


def find_missed(
    runs: Sequence[PortRun],
    captured: Collection[str],
    addresses: Collection[str] | None,
    *,
    api_is_here: bool,
    complete_since_s: float = 0.0,
) -> Missed:
    """Return the action runs without a capture whose requests went to one of `addresses`, or anywhere if it is None.

    Addresses on this machine count only if Port's API is on this machine too. Otherwise, Port cannot mean this machine.
    """
    found = [
        run
        for run in runs
        if run.kind is RunKind.ACTION
        and run.url
        and run.id not in captured
        and (addresses is None or _is_among(run.url, addresses, api_is_here=api_is_here))
    ]
    deleted = [run for run in found if (run.started_s or 0.0) < complete_since_s]
    anonymous = [run for run in found if run not in deleted and run.has_anonymous_request]
    return Missed(
        runs=[run for run in found if run not in deleted and run not in anonymous],
        deleted=deleted,
        anonymous=anonymous,
        node_runs=[
            node
            for run in runs
            for node in run.open_node_runs
            if node.node_type == "WEBHOOK" and node.id not in captured
        ],
        complete_since_s=complete_since_s,
    )


def _is_among(url: str, addresses: Collection[str], *, api_is_here: bool) -> bool:
    address = address_of(url)
    is_below = any(address == each or address.startswith(f"{each}/") for each in addresses if each)
    return is_below and (api_is_here or not address.startswith("localhost:"))
