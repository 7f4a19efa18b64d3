"""The command `port-hook export`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import Annotated

import typer

from port_hook_cli.captures.documents.capture_fields import require_whole
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS, Exported, find_export
from port_hook_cli.captures.latest import LAST
from port_hook_cli.captures.store.finder import CaptureUse, Finder, FoundRequest
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.handlers import project_handler
from port_hook_cli.cli.option_groups import ANY_VALUE, HANDLER_HERE, argument, command, option
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.user_files import write_new_file
from port_hook_cli.installed import command_for_tests
from port_hook_cli.invocations.handlers import HandlerRule, handler_of
from port_hook_cli.invocations.headers import SIGNATURE_HEADER
from port_hook_cli.invocations.models import Capture, Invocation
from port_hook_cli.invocations.payload import is_run_id, unsent
from port_hook_cli.invocations.probes import is_probe, original_of_probe
from port_hook_cli.invocations.snippets import REQUEST_FORMATS
from port_hook_cli.invocations.targets import read_target, target_url
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET
from port_hook_cli.replay.rewriting import Rewriter
from port_hook_cli.replay.store import source_of
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.terminal.console import sayer, tell, write_content
from port_hook_cli.text.safe import brief, input_name

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
            help="A capture (an ID, `last` or a file), a run ID, a payload or a raw HTTP request in a file, or - for "
            "stdin. Default: last.",
            show_default=False,
            stdin="the request",
            completes="sources",
            name="a CAPTURE",
        ),
    ] = None,
    format_: Annotated[
        str | None, options.request_format(_FORMATS, "The format (default: curl):", trust=ANY_VALUE)
    ] = None,
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
    as_captured: Annotated[
        bool, option("--as-captured", help="Print the recorded signature instead of a new one.", excludes=("--redact",))
    ] = False,
    store: options.Store = None,
    secret_file: options.SecretFile = None,
    org: options.Org = None,
) -> ExitCode:
    """Print a request as curl, pytest or Postman, or to share it.

    Signs the request with the client secret, like `replay`. The formats har and capture contain the recorded signature.
    An export never contains the secret.
    """
    runtime: Runtime = ctx.obj
    format_ = format_ or ("capture" if redact else "curl")
    row = find_export(format_)
    assert row is not None
    names = captures or [LAST]
    if len(names) > 1 and not row.takes_many:
        raise UsageError(f"The format {format_} takes one capture.", hint="Run the command once for each.")
    target = None if to is None else read_target(to, "--to")
    wanted = ALL_NEEDS if any(map(is_run_id, names)) else ONLY_THE_SECRET
    access = PortAccess(runtime, sayer(runtime), org=org, secret_file=secret_file, needs=wanted)
    with closing(Finder(store, runtime, CaptureUse.SHOW, sayer(runtime), takes_target=True)) as finder:
        rule = HandlerRule(project=project_handler(ctx), last=finder.last_target, guesses=True)
        found = asyncio.run(_find_all(names, finder, access))
        exported = [_exported(one, target, rule, finder) for one in found]
    code = ExitCode.OK
    if redact:
        from port_hook_cli.cli.export_redacted import redact_all

        exported, code = redact_all(exported, target, access.settings, runtime, as_capture=format_ == "capture")
    elif format_ in REQUEST_FORMATS and format_ not in _SIGNING and not as_captured:
        exported = _signed(found, exported, access, runtime)
    _write(row.write(exported), output, runtime)
    if format_ == _PYTEST and find_spec("pytest") is None:  # port-hook is not in the environment of the tests
        needs = f"Your tests need port-hook in their environment. Install it there: {command_for_tests()}"
        tell(f"note: {needs}", runtime)
    return code


async def _find_all(names: Sequence[str], finder: Finder, access: PortAccess) -> list[FoundRequest]:
    return [await finder.find_or_get(name, access) for name in names]


def _exported(found: FoundRequest, target: str | None, rule: HandlerRule, finder: Finder) -> Exported:
    content = found.content
    capture = content if isinstance(content, Capture) else unsent(source_of(found).invocation)
    path = require_whole(input_name(found.name), capture.invocation).target
    url = target_url(target or rule.url(handler_of(capture)) or "", path)
    return Exported(capture, url, _original(capture, finder))


def _signed(
    found: Sequence[FoundRequest], exported: Sequence[Exported], access: PortAccess, runtime: Runtime
) -> list[Exported]:
    """Return the exports with a new signature. Without a client secret, return them unchanged and print a note.

    Requests of `check` keep their signatures, which may be wrong on purpose.
    """
    secret = access.settings.client_secret
    if secret is None:
        for one, export_ in zip(found, exported, strict=True):
            tell(f"note: {_without_secret(one, export_.capture.invocation)}", runtime)
        return list(exported)
    rewriter = Rewriter(signer=Signer(secret), now=runtime.now, new_id=runtime.new_id)
    signed = []
    for source, export_ in zip(found, exported, strict=True):
        if is_probe(export_.capture.invocation.headers):
            signed.append(export_)
            continue
        ready = rewriter.prepare(source_of(source), export_.url)
        for note in ready.notes:
            tell(f"note: {brief(input_name(source.name))}: {note.text}", runtime)
        signed.append(export_._replace(capture=unsent(rewriter.finish(ready.draft))))
    return signed


def _without_secret(found: FoundRequest, invocation: Invocation) -> str:
    has_one = invocation.headers.get(SIGNATURE_HEADER) is not None or invocation.origin is not None
    state = "has its recorded signature" if has_one else "has no signature"
    return f"{brief(input_name(found.name))} {state}, because no client secret is set"


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
