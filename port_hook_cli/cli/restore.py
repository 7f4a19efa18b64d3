"""`port-hook restore`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from port_hook_cli.cli import options
from port_hook_cli.errors import ExitCode
from port_hook_cli.http.limits import API_TIMEOUT_S
from port_hook_cli.port_api.credentials import open_port_api, read_settings
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.retarget.flow import put_back
from port_hook_cli.retarget.journal import Journal, Kept
from port_hook_cli.retarget.outcome import End, Outcome
from port_hook_cli.retarget.records import restore_record
from port_hook_cli.retarget.view import conflict_lines, restore_message
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.terminal.prompts import can_ask, confirm
from port_hook_cli.text.safe import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the command line asks for."""

    dry_run: bool
    overwrite: bool
    yes: bool
    as_json: bool
    api_timeout_s: float


def restore(
    ctx: typer.Context,
    actions: Annotated[
        list[str] | None,
        typer.Argument(
            help="Restore only these actions or automations. Default: all that a killed listener left.",
            metavar="[ACTION]...",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be restored, without changing anything.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Restore actions too that someone else has changed since.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Do not ask. Actions that someone else changed are kept, unless --overwrite is given."
        ),
    ] = False,
    api_timeout_s: options.ApiTimeout = API_TIMEOUT_S,
    as_json: options.Json = False,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
    insecure_api: options.InsecureApi = False,
) -> ExitCode:
    """Restore the actions that a killed listener left pointing at it.

    An action that someone else has changed is shown, and restored only after you confirm or with --overwrite. Actions
    of a listener that still runs are left to it.
    """
    runtime: Runtime = ctx.obj
    wish = _Wish(dry_run=dry_run, overwrite=overwrite, yes=yes, as_json=as_json, api_timeout_s=api_timeout_s)
    found, codes = _find(Journal(runtime.home), actions or [], runtime)
    if not found:
        if not codes:
            print("Nothing to restore.", file=runtime.stderr if as_json else runtime.stdout)
        return max(codes, default=ExitCode.OK)
    settings = read_settings(runtime, org=org, secret_file=secret_file, insecure_api=insecure_api)
    if not (yes or dry_run) and can_ask(runtime):
        names = printable(", ".join(kept.entry.identifier for kept in found if kept.entry))
        if not confirm(f"Put back {names}?", runtime, default=True):
            return ExitCode.FAILED
    return max([*codes, *_restore(found, settings, wish, runtime)])


def _find(journal: Journal, names: Sequence[str], runtime: Runtime) -> tuple[list[Kept], list[ExitCode]]:
    """Return what can be put back, and an exit code for each file that cannot, which is told."""
    found, codes = [], []
    kept_files = journal.kept()
    for kept in kept_files:
        if kept.entry is None:
            if not names:
                _note(f"{kept.path} cannot be read: {kept.fault}", runtime)
                codes.append(ExitCode.STORE)
        elif names and kept.entry.identifier not in names:
            continue
        elif kept.is_held:
            _note(f"{kept.entry.identifier} is in use by a listener that puts it back when it ends", runtime)
            codes += [ExitCode.FAILED] if names else [ExitCode.OK]
        else:
            found.append(kept)
    known = {kept.entry.identifier for kept in kept_files if kept.entry}
    for name in names:
        if name not in known:
            _note(f"nothing is left of {name}", runtime)
    return found, codes


def _restore(found: list[Kept], settings: Settings, wish: _Wish, runtime: Runtime) -> list[ExitCode]:
    ours = [kept for kept in found if kept.entry and kept.entry.api_url == settings.api_url]
    codes = []
    for kept in found:
        if kept.entry and kept not in ours:
            words = f"belongs to {kept.entry.api_url}, and the settings name {settings.api_url}; left as it is"
            _tell(kept, "elsewhere", words, wish, runtime)
            codes.append(ExitCode.FAILED)
    outcomes = asyncio.run(_put_back(ours, settings, wish, runtime, overwrite=False))
    disputed = [
        kept
        for kept, outcome in zip(ours, outcomes, strict=True)
        if outcome and outcome.end is End.CHANGED and _may_overwrite(outcome, wish, runtime)
    ]
    again = asyncio.run(_put_back(disputed, settings, wish, runtime, overwrite=True)) if disputed else []
    last = {kept.path: outcome for kept, outcome in zip([*ours, *disputed], [*outcomes, *again], strict=True)}
    for kept in ours:
        outcome = last[kept.path]
        if outcome is None:
            _note(f"{kept.path} is in use by another port-hook", runtime)
            codes.append(ExitCode.FAILED)
            continue
        _tell(kept, outcome.end, restore_message(outcome, file=str(kept.path), dry_run=wish.dry_run), wish, runtime)
        codes.append(_code(outcome))
    return codes


async def _put_back(
    found: list[Kept], settings: Settings, wish: _Wish, runtime: Runtime, *, overwrite: bool
) -> list[Outcome | None]:
    """Return how it went with each; None for one that another process took meanwhile."""
    journal = Journal(runtime.home)
    outcomes: list[Outcome | None] = []
    async with open_port_api(
        settings, runtime, timeout_s=wish.api_timeout_s, on_retry=lambda words: _note(words, runtime)
    ) as api:
        for kept in found:
            with journal.reclaim(kept) or nullcontext() as claim:
                entry = claim.read() if claim else None
                outcomes.append(
                    await put_back(api, claim, entry, overwrite=overwrite, dry_run=wish.dry_run)
                    if claim and entry
                    else None
                )
    return outcomes


def _may_overwrite(outcome: Outcome, wish: _Wish, runtime: Runtime) -> bool:
    """Show a conflict, and return whether the original may overwrite the current action."""
    name = printable(outcome.entry.identifier)
    print(f"{name} was changed by someone else after the listener set it:", file=runtime.stderr)
    print(*conflict_lines(outcome.entry, outcome.now or {}), sep="\n", file=runtime.stderr)
    if wish.overwrite or wish.yes or wish.dry_run or not can_ask(runtime):
        return wish.overwrite
    return confirm(f"Overwrite that with the original of {name}?", runtime, default=False)


def _code(outcome: Outcome) -> ExitCode:
    if outcome.problem is not None:
        return outcome.problem.exit_code
    return ExitCode.OK if outcome.is_done else ExitCode.FAILED


def _tell(kept: Kept, end: str, words: str, wish: _Wish, runtime: Runtime) -> None:
    assert kept.entry is not None
    if wish.as_json:
        emit(restore_record(kept.entry, end, words, dry_run=wish.dry_run), runtime.stdout)
    else:
        print(f"{printable(kept.entry.identifier)}: {printable(words)}", file=runtime.stdout)


def _note(words: Any, runtime: Runtime) -> None:
    tell(f"note: {printable(str(words))}", runtime)
