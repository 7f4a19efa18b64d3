"""The command `port-hook restore`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.cli.option_groups import argument, command, short_option
from port_hook_cli.errors import UsageError
from port_hook_cli.retarget.entry import End, Outcome
from port_hook_cli.retarget.journal import Journal
from port_hook_cli.retarget.session import Leftovers, find_leftovers
from port_hook_cli.retarget.session import restore as restore_leftovers
from port_hook_cli.retarget.view import conflict_lines, restore_message, restore_record
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.terminal.prompts import can_ask, confirm, confirm_in_loop
from port_hook_cli.text.safe import printable


@command
def restore(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        argument(
            help="Restore only these actions, automations or workflow nodes (WORKFLOW#NODE). Default: everything that a"
            " killed listener changed.",
            metavar="[NAME]...",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        short_option("--dry-run", help="Show what would be restored, without changing anything."),
    ] = False,
    overwrite: Annotated[
        bool, short_option("--overwrite", help="Restore even if someone else changed it since.")
    ] = False,
    yes: Annotated[
        bool,
        short_option("--yes", "-y", help="Don't ask. Without --overwrite, someone else's changes stay."),
    ] = False,
    as_json: options.Json = False,
    *,
    credentials: options.CredentialOptions,
) -> ExitCode:
    """Restore the URLs in Port that a killed listener changed.

    If someone else has changed a URL, port-hook shows the change and asks. A running listener restores its own actions
    and nodes when it ends.
    """
    runtime: Runtime = ctx.obj
    if "" in (names or ()):
        raise UsageError("The name of an action is empty.", hint="Check whether a shell variable is unset.")
    journal = Journal(runtime.home)
    leftovers = find_leftovers(journal, names or [])
    codes = _note_others(leftovers, runtime, is_named=bool(names))
    if not leftovers.found:
        if not codes:
            print("Nothing to restore.", file=runtime.stderr if as_json else runtime.stdout)
        return max(codes, default=ExitCode.OK)
    access = credentials.access(runtime)
    api_url = access.settings.api_url
    if not (yes or dry_run) and can_ask(runtime):
        listed = printable(", ".join(kept.entry.name for kept in leftovers.found if kept.entry))
        if not confirm(f"Restore {listed}?", runtime, default=True):
            return ExitCode.FAILED
    asks = not (overwrite or yes or dry_run) and can_ask(runtime)
    may_overwrite = partial(_may_overwrite, runtime=runtime, overwrite=overwrite, asks=asks)
    on_retry = partial(_note, runtime=runtime)
    restoring = restore_leftovers(
        leftovers.found, journal, access, may_overwrite=may_overwrite, dry_run=dry_run, on_retry=on_retry
    )
    outcomes = asyncio.run(restoring)
    results = sorted(zip(leftovers.found, outcomes, strict=True), key=lambda each: each[1].end is not End.ELSEWHERE)
    for kept, outcome in results:
        if outcome.end is End.IN_USE:
            _note(f"{kept.path} is in use by another port-hook", runtime)
        else:
            message = restore_message(outcome, api_url=api_url, file=str(kept.path), dry_run=dry_run)
            _show(outcome, message, runtime, as_json=as_json, dry_run=dry_run)
    return max([*codes, *map(_code, outcomes)])


def _note_others(leftovers: Leftovers, runtime: Runtime, *, is_named: bool) -> list[ExitCode]:
    """Print a note about each journal entry that cannot be restored, and return the exit codes for these entries."""
    for kept in leftovers.unreadable:
        _note(f"{kept.path} cannot be read: {kept.fault}", runtime)
    for kept in leftovers.held:
        name = kept.entry.name if kept.entry else ""
        _note(f"{name} is in use by a running listener, which restores it when it ends", runtime)
    held = ExitCode.FAILED if is_named else ExitCode.OK
    return [*[ExitCode.STORE] * len(leftovers.unreadable), *[held] * len(leftovers.held)]


async def _may_overwrite(outcome: Outcome, *, runtime: Runtime, overwrite: bool, asks: bool) -> bool:
    """Show someone else's change, and return whether port-hook may undo it."""
    name = printable(outcome.entry.name)
    tell(f"Someone else changed {name} after the listener set it:", runtime)
    for line in conflict_lines(outcome.entry, outcome.now or {}):
        tell(line, runtime)
    if not asks:
        return overwrite
    return await confirm_in_loop(f"Undo these changes and restore {name}?", runtime, default=False)


def _show(outcome: Outcome, message: str, runtime: Runtime, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        emit(restore_record(outcome, message, dry_run=dry_run), runtime.stdout)
    else:
        print(message, file=runtime.stdout)


def _code(outcome: Outcome) -> ExitCode:
    if outcome.problem is not None:
        return exit_code_of(outcome.problem)
    return ExitCode.OK if outcome.is_done else ExitCode.FAILED


def _note(message: str, runtime: Runtime) -> None:
    tell(f"note: {printable(message)}", runtime)
