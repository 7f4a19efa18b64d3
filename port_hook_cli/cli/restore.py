"""`port-hook restore`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode, exit_code_of
from port_hook_cli.errors import UsageError
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.credentials import open_port_api, read_settings
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.entry import End, Entry, Outcome
from port_hook_cli.retarget.flow import restore_entry
from port_hook_cli.retarget.journal import Journal, Kept
from port_hook_cli.retarget.view import conflict_lines, restore_message, restore_record
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.terminal.prompts import can_ask, confirm
from port_hook_cli.text.safe import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class _RestoreOptions:
    """The options that say how to restore. A call to Port's API may take `api_timeout_s` seconds."""

    dry_run: bool
    overwrite: bool
    yes: bool
    as_json: bool
    api_timeout_s: float


def restore(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Restore only these actions, automations or workflow nodes (WORKFLOW#NODE). Default: all that a killed"
            " listener left.",
            metavar="[NAME]...",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be restored, without changing anything.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also restore what someone else has changed since.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Do not ask. What someone else changed is kept, unless --overwrite is given."),
    ] = False,
    api_timeout_s: options.ApiTimeout = API_TIMEOUT_S,
    as_json: options.Json = False,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
    insecure_api: options.InsecureApi = False,
) -> ExitCode:
    """Restore the URLs in Port that a killed listener changed.

    If someone else has changed a URL, the change is shown. The URL is restored only if you confirm or use --overwrite.
    A running listener restores its own actions and nodes when it ends.
    """
    runtime: Runtime = ctx.obj
    if "" in (names or ()):
        raise UsageError("The name of an action is empty.", hint="Check whether a shell variable is unset.")
    chosen = _RestoreOptions(
        dry_run=dry_run, overwrite=overwrite, yes=yes, as_json=as_json, api_timeout_s=api_timeout_s
    )
    found, codes = _find(Journal(runtime.home), names or [], runtime)
    if not found:
        if not codes:
            print("Nothing to restore.", file=runtime.stderr if as_json else runtime.stdout)
        return max(codes, default=ExitCode.OK)
    settings = read_settings(runtime, org=org, secret_file=secret_file, insecure_api=insecure_api)
    if not (yes or dry_run) and can_ask(runtime):
        listed = printable(", ".join(kept.entry.name for kept in found if kept.entry))
        if not confirm(f"Restore {listed}?", runtime, default=True):
            return ExitCode.FAILED
    return max([*codes, *_restore(found, settings, chosen, runtime)])


def _find(journal: Journal, names: Sequence[str], runtime: Runtime) -> tuple[list[Kept], list[ExitCode]]:
    """Return the entries that can be restored, and the exit codes of the others, with a note for each of them."""
    found, codes = [], []
    kept_files = journal.kept()
    for kept in kept_files:
        if kept.entry is None:
            if not names:
                _note(f"{kept.path} cannot be read: {kept.fault}", runtime)
                codes.append(ExitCode.STORE)
        elif names and kept.entry.name not in names:
            continue
        elif kept.is_held:
            _note(f"{kept.entry.name} is in use by a running listener, which restores it when it ends", runtime)
            codes += [ExitCode.FAILED] if names else [ExitCode.OK]
        else:
            found.append(kept)
    for name in names:
        _note_unknown(name, [kept.entry for kept in kept_files if kept.entry], runtime)
    return found, codes


def _note_unknown(name: str, entries: Sequence[Entry], runtime: Runtime) -> None:
    """Print a note if nothing was retargeted under `name`. If it is a workflow, the note names the nodes that were."""
    if any(entry.name == name for entry in entries):
        return
    nodes = [entry.name for entry in entries if entry.identifier == name]
    question = f"; did you mean {', '.join(nodes)}?" if nodes else ""
    _note(f"{name} has nothing to restore{question}", runtime)


def _restore(found: list[Kept], settings: Settings, chosen: _RestoreOptions, runtime: Runtime) -> list[ExitCode]:
    """Restore the entries that belong to the API of `settings`, report each one, and return the exit codes."""
    here = [kept for kept in found if kept.entry and kept.entry.api_url == settings.api_url]
    codes = []
    for kept in found:
        if kept.entry and kept not in here:
            message = f"belongs to {kept.entry.api_url}, but the settings name {settings.api_url}; it is not restored"
            _report(kept.entry, "elsewhere", message, chosen, runtime)
            codes.append(ExitCode.FAILED)
    outcomes = asyncio.run(_restore_entries(here, settings, chosen, runtime, overwrite=False))
    disputed = [
        kept
        for kept, outcome in zip(here, outcomes, strict=True)
        if outcome and outcome.end is End.CHANGED and _may_overwrite(outcome, chosen, runtime)
    ]
    again = asyncio.run(_restore_entries(disputed, settings, chosen, runtime, overwrite=True)) if disputed else []
    last = {kept.path: outcome for kept, outcome in zip([*here, *disputed], [*outcomes, *again], strict=True)}
    for kept in here:
        outcome = last[kept.path]
        if outcome is None:
            _note(f"{kept.path} is in use by another port-hook", runtime)
            codes.append(ExitCode.FAILED)
            continue
        message = restore_message(outcome, file=str(kept.path), dry_run=chosen.dry_run)
        _report(outcome.entry, outcome.end, message, chosen, runtime, version=outcome.version)
        codes.append(_code(outcome))
    return codes


async def _restore_entries(
    found: list[Kept], settings: Settings, chosen: _RestoreOptions, runtime: Runtime, *, overwrite: bool
) -> list[Outcome | None]:
    """Return the outcome of each entry, or None for an entry that another process has claimed in the meantime."""
    journal = Journal(runtime.home)
    outcomes: list[Outcome | None] = []
    async with open_port_api(
        settings, runtime, timeout_s=chosen.api_timeout_s, on_retry=lambda message: _note(message, runtime)
    ) as api:
        for kept in found:
            with journal.reclaim(kept) or nullcontext() as claim:
                entry = claim.read() if claim else None
                outcomes.append(
                    await restore_entry(api, claim, entry, overwrite=overwrite, dry_run=chosen.dry_run)
                    if claim and entry
                    else None
                )
    return outcomes


def _may_overwrite(outcome: Outcome, chosen: _RestoreOptions, runtime: Runtime) -> bool:
    """Show what someone else changed, and return whether it may be undone."""
    name = printable(outcome.entry.name)
    tell(f"{name} was changed by someone else after the listener set it:", runtime)
    for line in conflict_lines(outcome.entry, outcome.now or {}):
        tell(line, runtime)
    if chosen.overwrite or chosen.yes or chosen.dry_run or not can_ask(runtime):
        return chosen.overwrite
    return confirm(f"Undo these changes and restore {name}?", runtime, default=False)


def _code(outcome: Outcome) -> ExitCode:
    if outcome.problem is not None:
        return exit_code_of(outcome.problem)
    return ExitCode.OK if outcome.is_done else ExitCode.FAILED


def _report(
    entry: Entry, end: str, message: str, chosen: _RestoreOptions, runtime: Runtime, *, version: int | None = None
) -> None:
    if chosen.as_json:
        emit(restore_record(entry, end, message, dry_run=chosen.dry_run, version=version), runtime.stdout)
    else:
        print(f"{printable(entry.name)}: {printable(message)}", file=runtime.stdout)


def _note(message: str, runtime: Runtime) -> None:
    tell(f"note: {printable(message)}", runtime)
