"""`port-hook replay --missed`: list the missed runs, ask, and return their requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from port_hook_cli.cli.run_names import open_store_if_any
from port_hook_cli.errors import UsageError
from port_hook_cli.replay.missed import MissedRuns, find_missed_runs
from port_hook_cli.runs.run_view import left_out, named, runs_table
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, tell
from port_hook_cli.terminal.prompts import can_ask, confirm
from port_hook_cli.text.safe import brief, printable

if TYPE_CHECKING:
    from port_hook_cli.cli.replay_options import ReplaySources
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.replay.sources import ReplaySource
    from port_hook_cli.runs.missed import Missed


def missed_sources(
    places: ReplaySources, access: PortAccess, runtime: Runtime, *, since_s: float | None, sends: bool
) -> list[ReplaySource]:
    """Return the requests to send, or none if the user doesn't confirm.

    Raises UsageError if they would be sent, and nobody can confirm it.
    """
    with open_store_if_any(places.store, runtime) as kept:

        async def find() -> MissedRuns:
            async with access.client(on_retry=lambda words: tell(f"note: {printable(words)}", runtime)) as api:
                return await find_missed_runs(api, kept, access, action=places.action, since_s=since_s)

        missed = asyncio.run(find())
    runs = missed.found.runs
    tell_left_out(missed.found, runtime)
    if missed.is_cut:
        tell("note: Port has more runs than one call returns, so runs may be missing. Use --action.", runtime)
    if ended := missed.ended:
        state = "run has ended, so it is" if len(ended) == 1 else "runs have ended, so they are"
        show = f"To show one, run `port-hook runs {brief(ended[0].id)}`"
        tell(f"note: {len(ended)} missed {state} not sent: {named(ended)}. {show}", runtime)
    if not (runs or ended):
        has_any = places.action or (kept is not None)
        tell("No missed runs." if has_any else "No missed runs: this directory has no capture store.", runtime)
    if not runs:
        return []
    output = Output(runtime.stderr, runtime.environ)
    output.print(*runs_table(runs, (), now=runtime.now(), width=output.width if output.is_terminal else None))
    if sends and not places.yes and not _confirmed(len(runs), runtime):
        return []
    return list(missed.sources)


def tell_left_out(missed: Missed, runtime: Runtime) -> None:
    """Print notes about the runs that a list of missed runs leaves out."""
    for text in left_out(missed, now=runtime.now()):
        tell(f"note: {text}", runtime)


def _confirmed(count: int, runtime: Runtime) -> bool:
    if not can_ask(runtime):
        raise UsageError(
            "--missed starts real work, and port-hook cannot ask for confirmation because this is not a terminal.",
            hint="Add --yes to send these requests, or --dry-run to print them.",
        )
    what = "this request" if count == 1 else f"these {count} requests"
    return confirm(f"Send {what} to your handler?", runtime, default=False)
