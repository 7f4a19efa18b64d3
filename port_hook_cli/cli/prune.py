"""The command `port-hook prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import command, short_option
from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, sayer, tell

if TYPE_CHECKING:
    from port_hook_cli.captures.store.deleting import PruneCount, PruneRule

PRUNE = "port-hook/prune/1"
_MOST = 2**62
_SAME_SIZE = (
    "note: the file keeps its size, because another program uses it or the disk is full. New captures reuse the space. "
    "To shrink the file, stop the other program or free disk space, and run the command again."
)


@command
def prune(
    ctx: typer.Context,
    older_than: Annotated[
        str | None,
        short_option(
            "--older-than",
            metavar="TIME",
            help="Delete captures older than 7d or 12h, or from before 2026-05-01.",
            excludes=("--keep",),
        ),
    ] = None,
    keep: Annotated[
        int | None, short_option("--keep", metavar="N", min=0, max=_MOST, help="Delete all but the latest N captures.")
    ] = None,
    dry_run: Annotated[bool, short_option("--dry-run", help="Count the captures without deleting them.")] = False,
    yes: Annotated[bool, short_option("--yes", "-y", help="Delete without asking.")] = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> ExitCode:
    """Delete old captures.

    A listener can use the store at the same time. If at least a quarter of the file is free, port-hook shrinks the
    file, unless another program uses it and many captures are left.
    """
    from port_hook_cli.captures.store.capture_store import open_store
    from port_hook_cli.captures.store.finder import say_warnings

    runtime: Runtime = ctx.obj
    rule = _rule(older_than, keep, runtime)
    with open_store(store, runtime.cwd) as kept:
        say_warnings(kept, sayer(runtime))
        expected = kept.prunable(rule)
        if dry_run:
            return _report(expected, runtime, as_json=as_json, dry_run=True)
        if expected.deleted and not (yes or _confirmed(expected, runtime)):
            tell("Nothing was deleted.", runtime)
            return ExitCode.FAILED
        code = _report(kept.prune(rule) if expected.deleted else expected, runtime, as_json=as_json, dry_run=False)
        if not kept.shrink():
            tell(_SAME_SIZE, runtime)
        return code


def _rule(older_than: str | None, keep: int | None, runtime: Runtime) -> PruneRule:
    from port_hook_cli.captures.store.deleting import PruneRule
    from port_hook_cli.text.durations import parse_since

    if older_than is not None:
        return PruneRule(before_s=parse_since(older_than, now=runtime.now()))
    if keep is not None:
        return PruneRule(keep=keep)
    raise UsageError("Missing option --older-than or --keep.", hint="Pass --older-than 7d or --keep 1000.")


def _confirmed(expected: PruneCount, runtime: Runtime) -> bool:
    from port_hook_cli.terminal.prompts import can_ask, confirm

    if not can_ask(runtime):
        raise UsageError(
            f"This would delete {_captures(expected.deleted)}. port-hook cannot ask for confirmation because this is "
            "not a terminal.",
            hint="Pass --yes.",
        )
    return confirm(f"Delete {_captures(expected.deleted)} and retain {expected.kept:,}?", runtime, default=False)


def _report(count: PruneCount, runtime: Runtime, *, as_json: bool, dry_run: bool) -> ExitCode:
    if as_json:
        emit(prune_record(count, dry_run=dry_run), runtime.stdout)
    else:
        verb = "Would delete" if dry_run else "Deleted"
        print(f"{verb} {_captures(count.deleted)}, {count.kept:,} left.", file=runtime.stdout)
    return ExitCode.OK


def prune_record(count: PruneCount, *, dry_run: bool) -> dict[str, object]:
    """Return the record that `prune --json` prints."""
    return {"schema": PRUNE, "deleted": count.deleted, "kept": count.kept, "dry_run": dry_run}


def _captures(count: int) -> str:
    return "1 capture" if count == 1 else f"{count:,} captures"
