"""The run that a command's argument names, and the store with its captures, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from port_hook_cli.captures.latest import parse_latest
from port_hook_cli.errors import StoreError
from port_hook_cli.runs.ids import check_run_id, doubt_about
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer, tell
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.captures.store.reader import StoreReader

_LIST_RUNS = "Pass a run ID (`port-hook runs` lists them), or start `port-hook listen` here."


def find_run(name: str, store: Path | None, runtime: Runtime) -> str:
    """Return the run ID that a name means, and print what `last` and unusual IDs mean.

    Raises UsageError for an invalid name, and StoreError if the store has no such run.
    """
    latest = parse_latest(name)
    if latest is None:
        run_id = check_run_id(name)
        if doubt := doubt_about(run_id):
            tell(f"note: {printable(doubt)}", runtime)
        return run_id
    from port_hook_cli.captures.store.finder import open_captures
    from port_hook_cli.captures.store.statements import StoreFilter

    if _has_none(store, runtime):
        raise StoreError(
            f"`{name}` is the run of a captured request, but this directory has no store.", hint=_LIST_RUNS
        )
    with open_captures(store, runtime, sayer(runtime)) as captures:
        # Anyone can send a request, so an unverified request must not choose the run that gets a report.
        wanted = StoreFilter(accepted=not latest.replays, originals=not latest.replays)
        later = captures.latest(wanted, back=latest.back)
        recent = captures.latest(replace(wanted, with_run=True), back=latest.back)
    if recent is None or recent.payload.run_id is None:
        what = name if latest.back else "replay" if latest.replays else "verified request"
        raise StoreError(f"The store has no {what} with a run ID.", hint=_LIST_RUNS)
    skipped = "" if later == recent else ". Requests without a run ID don't count"
    tell(f"note: {printable(f'{name} is {recent.payload.run_id}{skipped}')}", runtime)
    return check_run_id(recent.payload.run_id)


@contextmanager
def open_store_if_any(store: Path | None, runtime: Runtime) -> Iterator[StoreReader | None]:
    """Yield the open store, or None if the current directory has no store and the user chose none."""
    from port_hook_cli.captures.store.finder import open_captures

    if _has_none(store, runtime):
        yield None
        return
    with open_captures(store, runtime, sayer(runtime), show_only=True) as kept:
        yield kept


def _has_none(store: Path | None, runtime: Runtime) -> bool:
    from port_hook_cli.captures.database.opening import store_path

    return store is None and not store_path(None, runtime.cwd).exists()
