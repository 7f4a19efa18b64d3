"""`port-hook export`."""

from __future__ import annotations

from contextlib import closing
from importlib.util import find_spec
from typing import Annotated

import typer

from port_hook_cli.captures.exports.formats import EXPORT_FORMATS, Exported, find_export
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.user_files import write_new_file
from port_hook_cli.installed import command_for_tests
from port_hook_cli.invocations.models import Exchange
from port_hook_cli.invocations.probes import original_of_probe
from port_hook_cli.invocations.targets import read_target, target_url
from port_hook_cli.replay.sources import default_target
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import sayer, tell, write_content

_FORMATS = tuple(row.name for row in EXPORT_FORMATS)
_PYTEST = "pytest"
_FALLBACK = "http://127.0.0.1:8000"


@command
def export(
    ctx: typer.Context,
    captures: Annotated[
        list[str],
        argument(
            metavar="ID...",
            help="A capture's id, the start of one, `last`, or a capture file.",
            completes="captures_and_files",
        ),
    ],
    format_: Annotated[
        str,
        option(
            "--format",
            metavar="FORMAT",
            help=f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}.",
            parser=options.one_of(_FORMATS),
            choices=_FORMATS,
        ),
    ],
    output: Annotated[
        str | None, option("--output", "-o", metavar="FILE", help="Write to a new file instead of stdout.")
    ] = None,
    to: Annotated[
        str | None,
        options.target(
            "The URL in the export; without a path, the captured path and query are used. Default: the handler on "
            "this machine that the capture was forwarded to, or that the store's last `listen` forwarded to, or 8000."
        ),
    ] = None,
    store: options.Store = None,
) -> ExitCode:
    """Write captures in the format of another tool.

    An export has the recorded signature, or signs at run time with PORT_CLIENT_SECRET; it never has the secret.
    """
    runtime: Runtime = ctx.obj
    row = find_export(format_)
    assert row is not None
    if len(captures) > 1 and not row.takes_many:
        raise UsageError(f"The format {format_} takes one capture.", hint="Run the command once for each.")
    target = None if to is None else read_target(to, "--to")
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime))) as finder:
        found = [_exported(name, target, finder) for name in captures]
    _write(row.write(found), output, runtime)
    if format_ == _PYTEST and find_spec("pytest") is None:  # so port-hook is not in the environment of the tests
        needs = f"The environment of your tests needs port-hook, too. Install it there: {command_for_tests()}"
        tell(f"note: {needs}", runtime)
    return ExitCode.OK


def _exported(name: str, target: str | None, finder: Finder) -> Exported:
    found = finder.find(name)
    if found.is_body_only:
        raise StoreError(f"{name} is not a capture.", hint="Export a capture, or sign a payload: `port-hook sign`.")
    url = target_url(target or default_target(found.exchange, finder.last_target()) or _FALLBACK, found.request.target)
    return Exported(found.exchange, url, _original(found.exchange, finder))


def _original(exchange: Exchange, finder: Finder) -> Exchange | None:
    """Return the capture that a request of `check` is a replay of, or None if it is not in the store."""
    name = original_of_probe(exchange.invocation)
    if name is None:
        return None
    try:
        return finder.store().get(name)
    except StoreError:  # it was deleted, or the capture is a file
        return None


def _write(text: str, output: str | None, runtime: Runtime) -> None:
    content = text.encode("utf-8", "backslashreplace")
    if output is None:
        write_content(content, runtime.stdout)
    else:
        write_new_file(output, content, cwd=runtime.cwd)
