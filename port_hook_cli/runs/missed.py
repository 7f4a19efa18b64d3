"""Which runs in Port a store has missed: their requests went to its listeners, but it has no capture. This is pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from port_hook_cli.invocations.targets import address_of
from port_hook_cli.runs.port_run import PortRun, RunKind


def find_missed(
    runs: Iterable[PortRun], captured: Collection[str], addresses: Collection[str] | None, *, api_is_here: bool
) -> list[PortRun]:
    """Return the action runs without a capture whose requests went to one of `addresses`, or anywhere if it is None.

    For a run with `has_anonymous_request`, nobody can tell whether it has a capture.
    Addresses on this machine count only if Port's API is on this machine too. Otherwise, Port cannot mean this machine.
    """
    return [
        run
        for run in runs
        if run.kind is RunKind.ACTION
        and run.url
        and run.id not in captured
        and (addresses is None or _is_among(run.url, addresses, api_is_here=api_is_here))
    ]


def _is_among(url: str, addresses: Collection[str], *, api_is_here: bool) -> bool:
    address = address_of(url)
    is_below = any(address == each or address.startswith(f"{each}/") for each in addresses if each)
    return is_below and (api_is_here or not address.startswith("localhost:"))


def missed_node_runs(runs: Iterable[PortRun], captured: Collection[str]) -> list[PortRun]:
    """Return the WEBHOOK node runs in progress without a capture. Port's API doesn't return their requests."""
    return [
        node for run in runs for node in run.open_node_runs if node.node_type == "WEBHOOK" and node.id not in captured
    ]
