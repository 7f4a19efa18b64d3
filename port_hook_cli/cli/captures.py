"""The command `port-hook captures`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import Trust, command, option
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, print_streamed, sayer, tell

if TYPE_CHECKING:
    from pathlib import Path

    from port_hook_cli.captures.listed import ListedCapture
    from port_hook_cli.captures.store.reader import BodyFilter, StoreReader
    from port_hook_cli.captures.store.statements import StoreFilter
    from port_hook_cli.text.styled import Styled

_LOOK_EVERY_S = 0.3
_NONE = (
    "No captures yet.",
    "hint: Run `port-hook listen` in this directory, then run a workflow or an action in Port.",
    "hint: Without Port, send a request to the listener: `port-hook trigger FILE --to 8787`.",
)
_NO_MATCH = ("No captures match.", "hint: Run `port-hook captures` without filters to list the latest.")


@command
def captures(
    ctx: typer.Context,
    action: Annotated[
        str | None,
        option("--action", help="List only captures of this action.", metavar="ACTION", completes="captured_actions"),
    ] = None,
    verdict: Annotated[
        Status | None,
        option(
            "--verdict",
            old=("--status",),
            help=f"List only captures with this verdict: {', '.join(Status)}.",
            metavar="VERDICT",
            case_sensitive=False,
        ),
    ] = None,
    status_code: Annotated[
        str | None,
        option("--status-code", help="List only captures with this response status: 500, or 5xx.", metavar="CODE|5xx"),
    ] = None,
    failed: Annotated[
        bool,
        option("--failed", help="List only failed captures: the handler responded with a 4xx or 5xx, or not at all."),
    ] = False,
    run: Annotated[
        str | None, option("--run", help="List only captures of this run.", metavar="RUN_ID", completes="runs")
    ] = None,
    since: Annotated[
        str | None,
        option("--since", help="List only captures since this time: 10m, 2h, 3d, or 2026-05-01T13:30.", metavar="TIME"),
    ] = None,
    search: Annotated[
        str,
        option(
            "--search",
            help="List captures with this text in path, query, headers or body. Ignores the case of ASCII letters.",
            metavar="TEXT",
        ),
    ] = "",
    jq: Annotated[
        str | None,
        option(
            "--jq",
            help="List only captures whose body matches this jq expression (neither false nor null).",
            metavar="EXPR",
        ),
    ] = None,
    limit: Annotated[
        int,
        option(
            "--limit", "-L", help="List at most N captures; 0 lists all.", metavar="N", min=0, trust=Trust(1.0, 1000.0)
        ),
    ] = 20,
    watch: Annotated[
        bool,
        option("--watch", help="List the latest captures, oldest first, and then each new capture until Ctrl-C."),
    ] = False,
    store: options.Store = None,
    no_pager: options.NoPager = False,
    as_json: options.Json = False,
) -> ExitCode:
    """List captures, latest first."""
    from port_hook_cli.captures.store.finder import open_body_filter, open_captures
    from port_hook_cli.captures.store.statements import StoreFilter
    from port_hook_cli.invocations.statuses import Expectation
    from port_hook_cli.text.durations import parse_since

    runtime: Runtime = ctx.obj
    wanted = StoreFilter(
        action=action,
        status=verdict,
        run_id=run,
        since_s=None if since is None else parse_since(since, now=runtime.now()),
        text=search,
        response=None if status_code is None else Expectation.parse(status_code),
        failed=failed,
    )
    with (
        open_captures(store, runtime, sayer(runtime), show_only=True) as kept,
        open_body_filter(jq, sayer(runtime), name="the --jq expression") as bodies,
    ):
        if watch:
            _watch(kept, wanted, bodies, runtime, limit=limit, as_json=as_json)
        most = min(limit, sys.maxsize) or None
        if as_json:
            has_any = _emit_all(kept.select(wanted, limit=most, bodies=bodies), runtime)
        else:
            has_any = _list_all(kept.listed(wanted, limit=most, bodies=bodies), runtime, pager=not no_pager)
    if not has_any:
        for line in _NONE if wanted == StoreFilter() and jq is None else _NO_MATCH:
            tell(line, runtime)
    return ExitCode.OK


def _watch(
    kept: StoreReader, wanted: StoreFilter, bodies: BodyFilter | None, runtime: Runtime, *, limit: int, as_json: bool
) -> NoReturn:
    """Print the latest captures and then each new capture, on one line each, until Ctrl-C."""
    from port_hook_cli.captures.store.statements import Numbers
    from port_hook_cli.captures.store.watching import CaptureWatch

    watch, place = CaptureWatch(kept, wanted, bodies), _place_of(kept.path)
    known = replace(wanted, numbers=Numbers(upto=watch.seen))
    latest = list(kept.select(known, limit=min(limit, sys.maxsize) or None, bodies=bodies))
    for capture in reversed(latest):
        _print_one(capture, runtime, as_json=as_json)
    while True:
        runtime.stdout.flush()
        time.sleep(_LOOK_EVERY_S)
        if _place_of(kept.path) != place:
            raise StoreError(f"{kept.path} was deleted or replaced.", hint="Run the command again.")
        for capture in watch.news(runtime.now()):
            _print_one(capture, runtime, as_json=as_json)


def _place_of(path: Path) -> tuple[int, int] | None:
    """Return the file's device and inode, which change when the file is replaced.

    Return None if the file does not exist.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _print_one(capture: Capture, runtime: Runtime, *, as_json: bool) -> None:
    if as_json:
        _emit_all([capture], runtime)
        return
    from port_hook_cli.captures.view.capture import compact_line, compact_lines

    output = Output(runtime.stdout, runtime.environ)
    lines = compact_lines(capture, output.width) if output.is_terminal else [compact_line(capture)]
    output.print(*lines)


def _print_paged(lines: Iterable[Styled], runtime: Runtime, *, wanted: bool) -> None:
    from port_hook_cli.terminal.pager import print_paged  # slow to import, and not needed for records

    print_paged(lines, runtime, wanted=wanted)


def _emit_all(found: Iterable[Capture], runtime: Runtime) -> bool:
    """Print the records of captures while the captures are read. Return whether any capture was found."""
    from port_hook_cli.captures.documents.capture_file import capture_summary

    has_any = False
    for capture in found:
        emit(capture_summary(capture), runtime.stdout)
        has_any = True
    return has_any


def _list_all(found: Iterator[ListedCapture], runtime: Runtime, *, pager: bool) -> bool:
    """Print captures while they are read. Return whether any capture was found."""
    from port_hook_cli.captures.view.captures import captures_lines, captures_table

    first = next(found, None)
    if first is None:
        return False
    output, listed = Output(runtime.stdout, runtime.environ), chain([first], found)
    if output.is_terminal:
        _print_paged(captures_table(listed, now=runtime.now(), width=output.width), runtime, wanted=pager)
    else:
        print_streamed(captures_lines(listed), runtime.stdout)
    return True
