"""The command `port-hook diff`."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.latest import LAST
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import StoreError
from port_hook_cli.runtime import Runtime
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from port_hook_cli.captures.store.finder import Finder, FoundRequest

# These values differ for every request. The verdict shows whether they are correct.
_SIGNATURES = ("x-port-signature", "x-port-timestamp")
# A replay gets new values for its target and its body.
_WRITTEN_ANEW = ("host", "content-length")
_ID = re.compile(r"[0-9a-f]{12}")
_LONGEST_NAME = 40
_COMPLETES = "captures_and_files"
_NAME = "a capture ID, `last`, `last-replay`, or a file (capture, raw HTTP request, payload; - for stdin)."


@command
def diff(
    ctx: typer.Context,
    a: Annotated[
        str | None,
        argument(metavar="[A]", help=f"The first capture: {_NAME} Default: `last~1`.", stdin="A", completes=_COMPLETES),
    ] = None,
    b: Annotated[
        str | None,
        argument(
            metavar="[B]",
            help="The second capture. Default: `last`. If A is a replay, compares its original with A.",
            stdin="B",
            completes=_COMPLETES,
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        option("--ignore", metavar="PATH|header:NAME", help="Ignore a value of the bodies, or a header (repeatable)."),
    ] = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> ExitCode:
    """Compare two captures.

    Exits with code 0 if they are the same, and with 1 if they differ. Ignores the signature and timestamp headers. For
    a replay and its original, also ignores the host and content-length headers.
    """
    from port_hook_cli.captures.comparison import Ignoring, compare, diff_lines, diff_record, is_same, without_ignored
    from port_hook_cli.captures.store.finder import CaptureUse, Finder
    from port_hook_cli.terminal.console import Output, emit, sayer
    from port_hook_cli.terminal.pager import print_paged

    runtime: Runtime = ctx.obj
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime))) as finder:
        one, other = _pair(a, b, finder)
    left_out = (*_SIGNATURES, *(_WRITTEN_ANEW if _is_replay(one, other) or _is_replay(other, one) else ()))
    ignoring = Ignoring.parse(ignore or (), headers=left_out)
    bodies_only = one.is_body_only or other.is_body_only
    found = without_ignored(compare(one.capture, other.capture), ignoring, bodies_only=bodies_only)
    names = (one.shown, other.shown)
    if as_json:
        emit(diff_record(names, found), runtime.stdout)
    else:
        output = Output(runtime.stdout, runtime.environ)
        print_paged(output.fit(diff_lines(names, found)), runtime)
    return ExitCode.OK if is_same(found) else ExitCode.FAILED


def _pair(a: str | None, b: str | None, finder: Finder) -> tuple[FoundRequest, FoundRequest]:
    """Return the two captures to compare. Raises StoreError or UsageError if a capture is not found."""
    if a is None:
        return finder.find(f"{LAST}~1"), finder.find(LAST)
    found = finder.find(a)
    if b is not None:
        return found, finder.find(b)
    original = None if found.is_body_only else found.capture.invocation.replay_of
    if original is not None:
        return _original(original, finder), found
    latest = finder.find(LAST)
    return (found, latest) if found.shown != latest.shown else (finder.find(f"{LAST}~1"), latest)


def _original(name: str, finder: Finder) -> FoundRequest:
    """Return the original of a replay.

    Any program may have written `name`, so it is never used as the name of a file.
    """
    from port_hook_cli.captures.store.finder import FoundRequest

    if not _ID.fullmatch(name):
        raise StoreError(
            f"The original of the replay is not a capture ID: {brief(name, _LONGEST_NAME)}.",
            hint="Pass both captures.",
        )
    return FoundRequest(name, finder.store().get(name), is_stored=True)


def _is_replay(one: FoundRequest, other: FoundRequest) -> bool:
    """Return whether the first capture is a replay of the second."""
    if one.is_body_only or other.is_body_only:
        return False
    original = one.capture.invocation.replay_of
    return original is not None and original == other.capture.invocation.id
