"""The command `port-hook show`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.latest import LAST, parse_latest
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import UsageError
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, sayer, tell, write_content

if TYPE_CHECKING:
    from port_hook_cli.captures.store.reader import StoreReader
    from port_hook_cli.invocations.models import Capture

_MOST_REPLAYS = 10
_START_OF_ID = r"[0-9a-f]{1,12}"


@command
def show(
    ctx: typer.Context,
    capture: Annotated[
        str,
        argument(
            help="A capture ID or its beginning, `last` (the default), `last~1`, `last-replay`, or a run ID.",
            metavar="ID|last",
            show_default=False,
            completes="captures",
        ),
    ] = LAST,
    body: Annotated[
        bool,
        option(
            "--body",
            help="Write the raw body to stdout. On a terminal, print its printable form.",
            excludes=("--json",),
        ),
    ] = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> ExitCode:
    """Show a capture in full."""
    from port_hook_cli.captures.store.finder import CaptureUse, Finder

    runtime: Runtime = ctx.obj
    _refuse_file(capture, runtime)
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime), reads_files=False)) as finder:
        found = finder.find(capture).capture
        replays = [] if body or as_json else list(_replays(found, finder.store()))
    if body:
        return _write_body(found, runtime)
    if as_json:
        from port_hook_cli.captures.documents.capture_file import to_capture

        emit(to_capture(found), runtime.stdout)
        return ExitCode.OK
    return _show(found, replays, runtime)


def _refuse_file(name: str, runtime: Runtime) -> None:
    """Raise UsageError if `name` is the path of a file, unless `name` may be the beginning of an ID."""
    if parse_latest(name) or re.fullmatch(_START_OF_ID, name):
        return
    import shlex

    from port_hook_cli.files.user_files import is_file

    if not is_file(name, runtime.cwd):
        return

    path = shlex.quote(name)
    raise UsageError(
        f"{name} is a file, but `show` reads only the capture store.",
        hint=f"Run `port-hook verify {path}` to check a capture file, or `port-hook replay {path}` to send "
        "the file's payload or request.",
    )


def _write_body(found: Capture, runtime: Runtime) -> ExitCode:
    truncated = found.invocation.truncated
    if truncated is not None:
        kept = f"the first {len(found.invocation.body):,} of {truncated.size:,} bytes"
        tell(f"note: the body is truncated: only {kept} were saved", runtime)
    write_content(found.invocation.body, runtime.stdout, environ=runtime.environ, end="\n")
    return ExitCode.OK


def _replays(found: Capture, kept: StoreReader) -> Iterator[Capture]:
    """Return the latest replays of a capture, latest first."""
    from port_hook_cli.captures.store.statements import StoreFilter

    return kept.select(StoreFilter(replay_of=found.invocation.id), limit=_MOST_REPLAYS)


def _show(found: Capture, replays: Sequence[Capture], runtime: Runtime) -> ExitCode:
    from port_hook_cli.captures.view.stored import stored_lines
    from port_hook_cli.terminal.pager import print_paged

    output = Output(runtime.stdout, runtime.environ)
    print_paged(output.fit(stored_lines(found, replays)), runtime)
    return ExitCode.OK
