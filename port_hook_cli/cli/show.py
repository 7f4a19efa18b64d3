"""The command `port-hook show`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.latest import LAST
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Capture
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, sayer, tell, write_content
from port_hook_cli.text.safe import printable

if TYPE_CHECKING:
    from port_hook_cli.captures.store.finder import FoundRequest
    from port_hook_cli.captures.store.reader import StoreReader

_MOST_REPLAYS = 10
_START_OF_ID = r"[0-9a-f]{1,12}"


@command
def show(
    ctx: typer.Context,
    capture: Annotated[
        str,
        argument(
            help="A capture ID or its beginning, `last` (the default), `last~1`, `last-replay`, a run ID, or a capture "
            "file; - for stdin.",
            metavar="CAPTURE|FILE|-",
            show_default=False,
            stdin="the capture",
            completes="captures_and_files",
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
    reads_files = not re.fullmatch(_START_OF_ID, capture)
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime), reads_files=reads_files)) as finder:
        named = finder.find(capture)
        found = _captured(named)
        replays = list(_replays(found, finder.store())) if named.is_stored and not (body or as_json) else []
    if found.throwaway_secret is not None:
        tell("note: this capture is redacted: names, IDs and other values are replaced", runtime)
    if body:
        return _write_body(found, runtime)
    if as_json:
        from port_hook_cli.captures.documents.capture_file import to_capture

        emit(to_capture(found), runtime.stdout)
        return ExitCode.OK
    from port_hook_cli.captures.view.stored import stored_lines
    from port_hook_cli.terminal.pager import print_paged

    print_paged(Output(runtime.stdout, runtime.environ).fit(stored_lines(found, replays)), runtime)
    return ExitCode.OK


def _captured(found: FoundRequest) -> Capture:
    """Return the capture. Raises UsageError for a file without a capture."""
    if isinstance(found.content, Capture):
        return found.content
    import shlex

    path = shlex.quote(found.name)
    raise UsageError(
        f"{printable(found.name)} is not a capture file.",
        hint=f"Run `port-hook verify {path}` to check a request, or `port-hook replay {path}` to send it.",
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
