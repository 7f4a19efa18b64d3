"""`port-hook diff`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.runtime import Runtime

# Every request has its own; the verdict says whether they are right.
_SIGNATURES = ("x-port-signature", "x-port-timestamp")
_COMPLETES = "captures_and_files"
_NAME = "a capture's id, the start of one, `last`, or a file (capture, raw HTTP request, payload; - for stdin)."


@command
def diff(
    ctx: typer.Context,
    a: Annotated[str, argument(metavar="A", help=f"The capture before: {_NAME}", stdin="A", completes=_COMPLETES)],
    b: Annotated[str, argument(metavar="B", help="The capture after, likewise.", stdin="B", completes=_COMPLETES)],
    ignore: Annotated[
        list[str] | None,
        option(
            "--ignore", metavar="PATH|header:NAME", help="Leave out a value of the bodies, or a header (repeatable)."
        ),
    ] = None,
    store: options.Store = None,
    no_pager: options.NoPager = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Compare two captures: bodies, headers, verdicts and responses.

    Exit with code 0 if they are the same, and 1 if they differ. The signature and timestamp headers are left out.
    """
    from port_hook_cli.captures.comparison import Ignoring, compare, diff_lines, diff_record, is_same, without_ignored
    from port_hook_cli.captures.store.finder import CaptureUse, Finder
    from port_hook_cli.terminal.console import Output, emit, sayer
    from port_hook_cli.terminal.programs import print_paged

    runtime: Runtime = ctx.obj
    ignoring = Ignoring.parse(ignore or (), headers=_SIGNATURES)
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime))) as finder:
        one, other = finder.find(a), finder.find(b)
    bodies_only = one.is_body_only or other.is_body_only
    found = without_ignored(compare(one.exchange, other.exchange), ignoring, bodies_only=bodies_only)
    names = (one.shown, other.shown)
    if as_json:
        emit(diff_record(names, found), runtime.stdout)
    else:
        output = Output(runtime.stdout, runtime.environ)
        print_paged(output.fit(diff_lines(names, found)), runtime, wanted=not no_pager)
    return ExitCode.OK if is_same(found) else ExitCode.FAILED
