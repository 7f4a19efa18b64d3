"""The command `port-hook runs`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import NoEffect, Trust, argument, command, option_group, short_option
from port_hook_cli.cli.run_names import find_run, open_store_if_any
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.captures.store.reader import StoreReader
    from port_hook_cli.invocations.models import Capture
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.port_api.runs import RunList, SeenRun
    from port_hook_cli.runs.port_run import PortRun

_RUN = "a RUN_ID"
_list_option = partial(short_option, no_effect=(NoEffect("A RUN_ID selects one run", beside=(_RUN,)),))


@option_group()
class RunFilters:
    """The options that select the runs to list."""

    active: Annotated[bool, _list_option("--active", help="List only runs that haven't ended.")] = False
    missed: Annotated[
        bool,
        _list_option(
            "--missed",
            help="List only action runs whose requests went to this store's listeners, but were not captured.",
        ),
    ] = False
    action: Annotated[
        str | None,
        _list_option(
            "--action", help="List only runs of this action or workflow.", metavar="NAME", completes="captured_actions"
        ),
    ] = None
    since: Annotated[
        str | None,
        _list_option(
            "--since",
            help="List only runs since this time: 10m, 2h, yesterday, a date, or a range: A..B, A.. or ..B.",
            metavar="TIME",
        ),
    ] = None
    limit: Annotated[
        int,
        _list_option(
            "--limit", "-L", help="List at most N runs.", metavar="N", min=1, max=1000, trust=Trust(1.0, 1000.0)
        ),
    ] = 20

    def period(self, runtime: Runtime) -> tuple[float, float]:
        """Return the times between which the runs started, in seconds since the epoch. Raises UsageError."""
        from port_hook_cli.text.durations import parse_period

        since_s, until_s = parse_period(self.since, now=runtime.now())
        return since_s or 0.0, until_s or inf


@command
def runs(
    ctx: typer.Context,
    run_id: Annotated[
        str | None,
        argument(
            name=_RUN,
            help="An action run (r_…), workflow run (wfr_…) or node run (wfnr_…), or `last`: the run of the latest "
            "verified request. Default: list the latest runs.",
            metavar="RUN_ID|last",
            completes="runs_to_report",
        ),
    ] = None,
    watch: Annotated[
        bool,
        short_option(
            "--watch",
            help="Follow the run until it ends. Exits with code 1 unless it ends as SUCCESS.",
            no_effect=(NoEffect("No run is followed", without=(_RUN,)),),
        ),
    ] = False,
    *,
    listed: RunFilters,
    as_json: options.Json = False,
    credentials: options.CredentialOptions,
    store: options.Store = None,
) -> ExitCode:
    """Show the state, log and result of runs.

    Only reads from Port's API. For a run that is IN_PROGRESS, explains what it waits for, whether its request was
    captured here, and how the handler responded.
    """
    runtime: Runtime = ctx.obj
    access = credentials.access(runtime)
    _ = access.settings  # its problems are reported before those of the store
    if run_id is None:
        return _list(listed, access, store, runtime, as_json=as_json)
    from port_hook_cli.invocations.payload import is_workflow_run_id

    wanted_run = run_id if is_workflow_run_id(run_id) else find_run(run_id, store, runtime)
    return _show(wanted_run, access, store, runtime, watch=watch, as_json=as_json)


def _list(wanted: RunFilters, access: PortAccess, store: Path | None, runtime: Runtime, *, as_json: bool) -> ExitCode:
    from port_hook_cli.runs.run_view import run_record, runs_table

    with open_store_if_any(store, runtime) as kept:
        found, captured = asyncio.run(_find(wanted, access, kept, runtime))
    if not found:
        is_filtered = any((wanted.active, wanted.missed, wanted.action, wanted.since))
        tell("No runs match." if is_filtered else "Port has no runs.", runtime)
    elif as_json:
        for run in found:
            emit(run_record(run, {}, app_url=access.settings.app_url, captured=captured), runtime.stdout)
    else:
        output = Output(runtime.stdout, runtime.environ)
        width = output.width if output.is_terminal else None
        output.print(*runs_table(found, captured, now=runtime.now(), width=width))
    return ExitCode.OK


async def _find(
    wanted: RunFilters, access: PortAccess, kept: StoreReader | None, runtime: Runtime
) -> tuple[Sequence[PortRun], set[str]]:
    """Return the listed runs, and the run IDs that have captures."""
    from port_hook_cli.port_api.runs import PortRuns

    since_s, until_s = wanted.period(runtime)
    async with _client(access, runtime) as api:
        listed = await PortRuns(api).list_all(name=wanted.action, is_active=wanted.active, with_requests=wanted.missed)
    _tell_gaps(listed, runtime)
    found = [run for run in listed.runs if since_s <= (run.started_s or 0.0) < until_s]
    if wanted.missed:
        from port_hook_cli.cli.replay_missed import tell_left_out
        from port_hook_cli.replay.missed import missed_among

        missed = missed_among(found, kept, access)
        tell_left_out(missed, runtime)
        return missed.runs[: wanted.limit], set()
    if len(found) > wanted.limit:
        tell(f"note: more runs were found. Raise --limit to list {len(found)}", runtime)
    found = found[: wanted.limit]
    return found, kept.runs_among(each for run in found for each in run.request_ids) if kept else set()


def _tell_gaps(listed: RunList, runtime: Runtime) -> None:
    if listed.problem:
        tell(f"note: workflow runs are not listed: {printable(listed.problem)}", runtime)
    if listed.is_cut:
        text = "note: Port has more runs than one call returns, so runs may be missing. Use --action or --active."
        tell(text, runtime)


def _show(
    run_id: str, access: PortAccess, store: Path | None, runtime: Runtime, *, watch: bool, as_json: bool
) -> ExitCode:
    with open_store_if_any(store, runtime) as kept:
        screen = _RunScreen(kept, access, runtime, as_json=as_json)
        try:
            run = asyncio.run(_look(run_id, screen, access, runtime, watch=watch))
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
    return ExitCode.FAILED if watch and run.state != "SUCCESS" else ExitCode.OK


async def _look(run_id: str, screen: _RunScreen, access: PortAccess, runtime: Runtime, *, watch: bool) -> PortRun:
    from port_hook_cli.port_api.runs import PortRuns, RunWatch

    async with _client(access, runtime) as api:
        watched = RunWatch(PortRuns(api), run_id, workflow_run=screen.workflow_run_of(run_id))
        if watch:
            return await watched.until_end(screen.show)
        seen = await watched.look()
        screen.show(seen)
        return seen.run


class _RunScreen:
    """Prints one run: in full when it is first seen, and then its changes and new log entries."""

    def __init__(self, kept: StoreReader | None, access: PortAccess, runtime: Runtime, *, as_json: bool) -> None:
        self._kept, self._access, self._runtime, self._as_json = kept, access, runtime, as_json
        self._shown = ""

    def workflow_run_of(self, run_id: str) -> str | None:
        """Return the workflow run in the captured payload of a node run, or None."""
        capture = self._capture_of(run_id)
        return capture.payload.workflow_run if capture else None

    def show(self, seen: SeenRun) -> None:
        """Print a run and its new log entries, unless nothing has changed."""
        from port_hook_cli.runs.run_view import change_text, log_lines, run_lines, run_record
        from port_hook_cli.text.styled import Styled

        run, runtime, change = seen.run, self._runtime, change_text(seen.run)
        if seen.problem:
            self._tell_once(f"note: the log is not shown: {printable(seen.problem)}")
        if change == self._shown and not seen.entries:
            return
        app_url, output = self._access.settings.app_url, Output(runtime.stdout, runtime.environ)
        if self._as_json:
            captures = self._captures_of(run)
            entries = None if seen.problem else seen.entries
            emit(run_record(run, captures, app_url=app_url, entries=entries), runtime.stdout)
        else:
            lines = [*log_lines(seen.entries, run.node_runs, now=runtime.now())]
            if not self._shown:
                lines = [*run_lines(run, self._captures_of(run), now=runtime.now(), app_url=app_url), *lines]
            elif change != self._shown:
                lines.append(Styled(change, "bold"))
            output.print(*output.fit(lines))
            runtime.stdout.flush()
        self._shown = change

    def _captures_of(self, run: PortRun) -> Mapping[str, Capture]:
        found = {each: self._capture_of(each) for each in run.request_ids}
        return {name: capture for name, capture in found.items() if capture is not None}

    def _capture_of(self, run_id: str) -> Capture | None:
        return None if self._kept is None else self._kept.of_run(run_id)

    def _tell_once(self, line: str) -> None:
        if self._runtime.memory.is_new(line):
            tell(line, self._runtime)


def _client(access: PortAccess, runtime: Runtime) -> PortApi:
    return access.client(on_retry=lambda words: tell(f"note: {printable(words)}", runtime))
