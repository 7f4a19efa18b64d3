"""`port-hook captures`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from port_hook_cli.captures.store.reading import open_body_filter, open_captures
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import Trust, command, option
from port_hook_cli.invocations.expected_status import Expectation
from port_hook_cli.invocations.models import Exchange, Status
from port_hook_cli.runtime import Runtime

_NONE = ("There are no captures yet.", "hint: Start `port-hook listen` in this folder and run an action in Port.")
_NO_MATCH = ("No captures match.", "hint: Run `port-hook captures` without filters to list the latest.")


@command
def captures(
    ctx: typer.Context,
    action: Annotated[
        str | None,
        option("--action", help="List captures of this action only.", metavar="ACTION", completes="captured_actions"),
    ] = None,
    verdict: Annotated[
        Status | None,
        option(
            "--verdict",
            "--status",
            help=f"List captures with this verdict only: {', '.join(Status)}.",
            metavar="VERDICT",
            case_sensitive=False,
        ),
    ] = None,
    status_code: Annotated[
        str | None,
        option("--status-code", help="List captures with this response status only: 500, or 5xx.", metavar="CODE|5xx"),
    ] = None,
    failed: Annotated[
        bool,
        option("--failed", help="List captures that the handler did not answer, or with a 5xx or no response, only."),
    ] = False,
    run: Annotated[
        str | None, option("--run", help="List captures of this run only.", metavar="RUN_ID", completes="runs")
    ] = None,
    since: Annotated[
        str | None,
        option("--since", help="List captures since this time: 10m, 2h, 3d, or 2026-05-01T13:30.", metavar="TIME"),
    ] = None,
    search: Annotated[
        str,
        option(
            "--search",
            help="List captures with this text in target, headers or body; ASCII letters match in either case.",
            metavar="TEXT",
        ),
    ] = "",
    jq: Annotated[
        str | None,
        option(
            "--jq", help="List captures for whose body this jq expression is neither false nor null.", metavar="EXPR"
        ),
    ] = None,
    limit: Annotated[
        int,
        option("--limit", help="List at most N captures; 0 lists all.", metavar="N", min=0, trust=Trust(1.0, 1000.0)),
    ] = 20,
    store: options.Store = None,
    no_pager: options.NoPager = False,
    as_json: options.Json = False,
) -> ExitCode:
    """List captures, newest first."""
    from port_hook_cli.captures.store.statements import StoreFilter
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
    from port_hook_cli.terminal.console import sayer

    with (
        open_captures(store, runtime, sayer(runtime), show_only=True) as kept,
        open_body_filter(jq, sayer(runtime), name="the expression of --jq") as bodies,
    ):
        found = kept.select(wanted, limit=limit or None, bodies=bodies)
        count = _emit_all(found, runtime) if as_json else _list_all(list(found), runtime, pager=not no_pager)
    if not count:
        from port_hook_cli.terminal.console import tell

        for line in _NONE if wanted == StoreFilter() and jq is None else _NO_MATCH:
            tell(line, runtime)
    return ExitCode.OK


def _emit_all(found: Iterable[Exchange], runtime: Runtime) -> int:
    from port_hook_cli.captures.documents.capture_file import capture_summary
    from port_hook_cli.terminal.console import emit

    count = 0
    for count, exchange in enumerate(found, 1):  # noqa: B007 - the count is the result
        emit(capture_summary(exchange), runtime.stdout)
    return count


def _list_all(found: Sequence[Exchange], runtime: Runtime, *, pager: bool) -> int:
    from port_hook_cli.captures.view.captures import captures_lines, captures_table
    from port_hook_cli.terminal.console import Output
    from port_hook_cli.terminal.pager import print_paged

    output = Output(runtime.stdout, runtime.environ)
    if found and output.is_terminal:
        print_paged(captures_table(found, now=runtime.now(), width=output.width), runtime, wanted=pager)
    elif found:
        print(*captures_lines(found), sep="\n", file=runtime.stdout)
    return len(found)
