"""The command `port-hook captures`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import Trust, argument, command, option, option_group, short_option
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.invocations.models import Capture, Status
from port_hook_cli.invocations.payload import is_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, print_streamed, sayer, tell

if TYPE_CHECKING:
    from pathlib import Path

    from port_hook_cli.captures.listed import ListedCapture
    from port_hook_cli.captures.store.reader import BodyFilter, StoreReader
    from port_hook_cli.captures.store.statements import StoreFilter
    from port_hook_cli.invocations.statuses import Expectation

_LOOK_EVERY_S = 0.3
_NONE = (
    "No captures yet.",
    "hint: Run `port-hook listen` in this directory, then run a workflow or an action in Port.",
    "hint: Without Port, send a request to the listener: `port-hook trigger FILE --to 8787`.",
)


@option_group()
class CaptureFilters:
    """The options that select captures."""

    action: Annotated[
        str | None,
        short_option(
            "--action",
            help="List only captures of this action or WORKFLOW#NODE.",
            metavar="NAME",
            completes="captured_actions",
        ),
    ] = None
    verdict: Annotated[
        Status | None,
        short_option(
            "--verdict",
            help=f"List only captures with this verdict: {', '.join(Status)}.",
            metavar="VERDICT",
            case_sensitive=False,
        ),
    ] = None
    status: Annotated[
        str | None,
        short_option(
            "--status", help="List only captures with this response status, such as 500 or 5xx.", metavar="CODE|5xx"
        ),
    ] = None
    failed: Annotated[
        bool,
        short_option(
            "--failed",
            help="List only failed captures: a 4xx, 5xx or missing response, from the handler or the listener.",
        ),
    ] = False
    since: Annotated[
        str | None,
        short_option(
            "--since",
            help="List only captures since this time: 10m, 2h, yesterday, a date, or a range: A..B, A.. or ..B.",
            metavar="TIME",
        ),
    ] = None
    jq: Annotated[
        str | None,
        option(
            "--jq",
            help="List only captures whose body matches this jq expression (neither false nor null).",
            metavar="EXPR",
        ),
    ] = None

    def of(self, text: str, runtime: Runtime) -> StoreFilter:
        """Return the filter for captures with `text`, which may be a run ID. Raises UsageError."""
        from port_hook_cli.captures.store.statements import StoreFilter
        from port_hook_cli.text.durations import parse_period

        since_s, until_s = parse_period(self.since, now=runtime.now())
        return StoreFilter(
            action=self.action,
            status=self.verdict,
            run_id=text if is_run_id(text) else None,
            since_s=since_s,
            until_s=until_s,
            text="" if is_run_id(text) else text,
            response=None if self.status is None else _expectation(self.status),
            failed=self.failed,
        )


@command
def captures(
    ctx: typer.Context,
    *,
    text: Annotated[
        str | None,
        argument(
            metavar="[TEXT]",
            help="List only captures of this run, or with this text in path, query, headers or body (ignoring case).",
            completes="runs",
        ),
    ] = None,
    filters: CaptureFilters,
    limit: Annotated[
        int,
        short_option(
            "--limit", "-L", help="List at most N captures; 0 lists all.", metavar="N", min=0, trust=Trust(1.0, 1000.0)
        ),
    ] = 20,
    watch: Annotated[
        bool,
        short_option("--watch", help="List the latest captures, oldest first, and then each new capture until Ctrl-C."),
    ] = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> ExitCode:
    """List captures, latest first.

    A status with `!` means that the handler did not respond.
    """
    from port_hook_cli.captures.store.finder import open_body_filter, open_captures
    from port_hook_cli.captures.store.statements import StoreFilter

    runtime: Runtime = ctx.obj
    wanted = filters.of(text or "", runtime)
    with (
        open_captures(store, runtime, sayer(runtime), show_only=True) as kept,
        open_body_filter(filters.jq, sayer(runtime), name="the --jq expression") as bodies,
    ):
        most = min(limit, sys.maxsize) or None
        if watch:
            _watch(kept, wanted, bodies, runtime, most=most, as_json=as_json)
        if as_json:
            has_any = _emit_all(kept.select(wanted, limit=most, bodies=bodies), runtime)
        else:
            has_any = _list_all(kept.listed(wanted, limit=most and most + 1, bodies=bodies), most, runtime)
        is_empty = not has_any and next(kept.select(StoreFilter(), limit=1), None) is None
    if not has_any:
        for line in _NONE if is_empty else ("No captures match.", _no_match_hint(text or "")):
            tell(line, runtime)
    return ExitCode.OK


def _expectation(status: str) -> Expectation:
    from port_hook_cli.invocations.statuses import Expectation

    try:
        return Expectation.parse(status)
    except UsageError as error:
        if status.lower() in set(Status):
            error.hint = f"Pass a verdict with --verdict: `--verdict {status}`."
        raise


def _no_match_hint(text: str) -> str:
    """Return the hint after a search for `text`, which may be another kind of name."""
    if re.fullmatch("[1-5](?:[0-9]{2}|xx)", text):
        return f"hint: Pass an HTTP status with --status: `--status {text}`."
    if re.fullmatch("last(?:-replay)?(?:~[0-9]*)?|[0-9a-f]{4,12}", text):
        return f"hint: Run `port-hook show {text}` to show one capture."
    return "hint: Run `port-hook captures` without filters to list the latest."


def _watch(
    kept: StoreReader,
    wanted: StoreFilter,
    bodies: BodyFilter | None,
    runtime: Runtime,
    *,
    most: int | None,
    as_json: bool,
) -> NoReturn:
    """Print the latest captures and then each new capture, on one line each, until Ctrl-C."""
    from port_hook_cli.captures.store.watching import CaptureWatch
    from port_hook_cli.captures.view.compact import RUN_HIDDEN, RUN_HIDDEN_BELOW

    watch, place = CaptureWatch(kept, wanted, bodies, now=runtime.now()), _place_of(kept.path)
    output = Output(runtime.stdout, runtime.environ)
    if not as_json and output.is_terminal and output.width < RUN_HIDDEN_BELOW:
        output.print(RUN_HIDDEN)
    for capture in watch.latest(most):
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
    from port_hook_cli.captures.view.compact import compact_line

    output = Output(runtime.stdout, runtime.environ)
    output.print(compact_line(capture, output.width if output.is_terminal else None))


def _emit_all(found: Iterable[Capture], runtime: Runtime) -> bool:
    """Print the records of captures while the captures are read. Return whether any capture was found."""
    from port_hook_cli.captures.documents.capture_file import capture_summary

    has_any = False
    for capture in found:
        emit(capture_summary(capture), runtime.stdout)
        has_any = True
    return has_any


def _list_all(found: Iterator[ListedCapture], most: int | None, runtime: Runtime) -> bool:
    """Print at most `most` captures while they are read. Return whether any capture was found."""
    from port_hook_cli.captures.view.captures import captures_lines, captures_table

    first = next(found, None)
    if first is None:
        return False
    output, listed = Output(runtime.stdout, runtime.environ), chain([first], islice(found, most and most - 1))
    if output.is_terminal:
        from port_hook_cli.terminal.pager import print_paged  # slow to import, and not needed for records

        print_paged(captures_table(listed, now=runtime.now(), width=output.width), runtime)
    else:
        print_streamed(captures_lines(listed), runtime.stdout)
    if next(found, None) is not None:
        tell("note: there are more captures. `--limit 0` lists all", runtime)
    return True
