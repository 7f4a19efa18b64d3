"""The command `port-hook export`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from port_hook_cli.captures.documents.capture_fields import require_whole
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS, Exported, find_export
from port_hook_cli.captures.latest import LAST
from port_hook_cli.captures.store.finder import CaptureUse, Finder, FoundRequest
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.handlers import project_handler
from port_hook_cli.cli.option_groups import HANDLER_HERE, argument, command, option
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.user_files import write_new_file
from port_hook_cli.installed import command_for_tests
from port_hook_cli.invocations.handlers import HandlerRule, handler_of
from port_hook_cli.invocations.headers import SIGNATURE_HEADER
from port_hook_cli.invocations.models import Capture, Invocation, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.probes import original_of_probe
from port_hook_cli.invocations.snippets import REQUEST_FORMATS, shell_quoted
from port_hook_cli.invocations.targets import read_target, target_url
from port_hook_cli.replay.store import source_of
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer, tell, write_content
from port_hook_cli.text.safe import brief

if TYPE_CHECKING:
    from port_hook_cli.port_api.access import PortAccess

_FORMATS = tuple(row.name for row in EXPORT_FORMATS)
_PYTEST = "pytest"
_SIGNING = frozenset({"postman"})
"""The formats that sign the request at run time."""


@command
def export(
    ctx: typer.Context,
    captures: Annotated[
        list[str] | None,
        argument(
            metavar="[CAPTURE|FILE|-]...",
            help="A capture (an ID, `last` or a file), a run ID, a file with a raw HTTP request, or - for stdin. "
            "Default: last.",
            show_default=False,
            stdin="the request",
            completes="sources",
            name="a CAPTURE",
        ),
    ] = None,
    format_: Annotated[str | None, options.request_format(_FORMATS, "The format (default: curl):")] = None,
    redact: Annotated[
        bool,
        option(
            "--redact",
            help="Replace names, IDs and other values, and sign with a throwaway secret, so that you can share the "
            "result. The default format is then capture.",
        ),
    ] = False,
    output: Annotated[
        str | None, option("--output", "-o", metavar="FILE", help="Write to a new file instead of stdout.")
    ] = None,
    to: Annotated[
        str | None,
        options.target(
            "The URL in the export. If it has no path, port-hook uses the captured path and query. Default: the "
            "handler on this machine that received the capture, your handler, or 8000.",
            trust=HANDLER_HERE,
        ),
    ] = None,
    store: options.Store = None,
) -> ExitCode:
    """Print a request as curl, pytest or Postman, or to share it.

    An export contains the recorded signature, or signs at run time with PORT_CLIENT_SECRET. It never contains the
    secret. To create a new signature, use `sign`.
    """
    import asyncio

    from port_hook_cli.port_api.access import PortAccess

    runtime: Runtime = ctx.obj
    format_ = format_ or ("capture" if redact else "curl")
    row = find_export(format_)
    assert row is not None
    captures = captures or [LAST]
    if len(captures) > 1 and not row.takes_many:
        raise UsageError(f"The format {format_} takes one capture.", hint="Run the command once for each.")
    target = None if to is None else read_target(to, "--to")
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime))) as finder:
        access = PortAccess(runtime, sayer(runtime))
        rule = HandlerRule(project=project_handler(ctx), last=finder.last_target, guesses=True)
        found = asyncio.run(_find_all(captures, target, rule, finder, access))
    code = ExitCode.OK
    if redact:
        from port_hook_cli.cli.export_redacted import redact_all

        found, code = redact_all(found, target, runtime, as_capture=format_ == "capture")
    elif format_ in REQUEST_FORMATS and format_ not in _SIGNING:
        _tell_unsigned(captures, found, format_, runtime)
    _write(row.write(found), output, runtime)
    if format_ == _PYTEST and find_spec("pytest") is None:  # port-hook is not in the environment of the tests
        needs = f"Your tests need port-hook in their environment. Install it there: {command_for_tests()}"
        tell(f"note: {needs}", runtime)
    return code


async def _find_all(
    names: list[str], target: str | None, rule: HandlerRule, finder: Finder, access: PortAccess
) -> list[Exported]:
    return [_exported(await finder.find_or_get(name, access), target, rule, finder) for name in names]


def _exported(found: FoundRequest, target: str | None, rule: HandlerRule, finder: Finder) -> Exported:
    if found.is_body_only:
        raise StoreError(
            f"{found.name} is not a capture.", hint="Export a capture, or sign a payload: `port-hook sign`."
        )
    capture = _unsent(source_of(found).invocation) if isinstance(found.content, Mapping) else found.capture
    path = require_whole(found.name, capture.invocation).target
    url = target_url(target or rule.url(handler_of(capture)) or "", path)
    return Exported(capture, url, _original(capture, finder))


def _unsent(invocation: Invocation) -> Capture:
    """Return Port's request for a run as a capture without an outcome."""
    payload = read_payload(invocation.body, invocation.headers)
    return Capture(invocation=invocation, verdict=Verdict(status=Status.UNCHECKED), payload=payload)


def _tell_unsigned(names: list[str], found: list[Exported], format_: str, runtime: Runtime) -> None:
    for name, one in zip(names, found, strict=True):
        if one.capture.invocation.headers.get(SIGNATURE_HEADER) is None and one.capture.invocation.origin is None:
            command = f"`port-hook sign {shell_quoted(name)} --format {format_}`"
            tell(f"note: {brief(name)} has no signature. {command} signs it", runtime)


def _original(capture: Capture, finder: Finder) -> Capture | None:
    """Return the capture that a request of `check` replays, or None if that capture is not in the store."""
    name = original_of_probe(capture.invocation)
    if name is None:
        return None
    try:
        return finder.store().get(name)
    except StoreError:  # the capture was deleted, or it is a file
        return None


def _write(text: str, output: str | None, runtime: Runtime) -> None:
    content = text.encode("utf-8", "backslashreplace")
    if output is None:
        write_content(content, runtime.stdout)
    else:
        write_new_file(output, content, cwd=runtime.cwd)
