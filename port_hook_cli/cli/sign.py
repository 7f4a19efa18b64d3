"""The command `port-hook sign`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from port_hook_cli.captures.documents.capture_fields import require_whole
from port_hook_cli.captures.latest import parse_latest
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import SourceError, StoreError, UsageError
from port_hook_cli.files.user_files import is_file, read_input
from port_hook_cli.invocations.handlers import DEFAULT_HANDLER
from port_hook_cli.invocations.http_text import NotHttp, is_request, parse_request
from port_hook_cli.invocations.payload import is_run_id, refuse_other_format
from port_hook_cli.invocations.snippets import SignedRequest, format_headers
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import CAPTURE_MARK, Signable, TimestampUnit, signable, signed_headers
from port_hook_cli.terminal.console import emit, sayer, tell
from port_hook_cli.text.safe import input_name, printable

if TYPE_CHECKING:
    from port_hook_cli.port_api.access import PortAccess


@command
def sign(
    ctx: typer.Context,
    payload: Annotated[
        str,
        argument(
            help="A JSON file, a capture (an ID, `last` or a file), a run ID, a raw HTTP request in a file, or - for "
            "stdin.",
            metavar="PAYLOAD|CAPTURE|-",
            stdin="the payload",
            completes="sources",
        ),
    ],
    timestamp: Annotated[
        str | None,
        option(
            "--timestamp",
            help="The timestamp header: seconds, or 13 digits for milliseconds. Default: now.",
            metavar="N",
        ),
    ] = None,
    raw: Annotated[bool, option("--raw", help="Sign the file's bytes unchanged, even if they are not JSON.")] = False,
    store: options.Store = None,
    secret_file: options.SecretFile = None,
    org: options.Org = None,
    json: options.Json = False,
) -> ExitCode:
    """Print the signature headers of a payload.

    Signs the output of JSON.stringify, like Port. To print the whole request, run `port-hook export`.
    """
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import ALL_NEEDS, ONLY_THE_SECRET

    runtime: Runtime = ctx.obj
    needs = ALL_NEEDS if is_run_id(payload) else ONLY_THE_SECRET
    access = PortAccess(runtime, sayer(runtime), org=org, secret_file=secret_file, needs=needs)
    source = _source(payload, store, access, runtime, raw=raw)
    secret = access.secret
    stamp = TimestampUnit.SECONDS.stamp(runtime.now()) if timestamp is None else _stamp(timestamp, runtime)
    shown = input_name(payload)
    signed = _signable(source.body, name=shown, raw=raw)
    if signed.difference:
        tell(f"note: signed {printable(shown)} {signed.difference}. To sign the raw bytes, add --raw", runtime)
    fields = (("content-type", "application/json"), *signed_headers(signed.body, secret, stamp))
    request = SignedRequest(url=_url(source.target), headers=fields, body=signed.body, method=source.method)
    _print(request, signed.form, runtime, as_json=json)
    return ExitCode.OK


class _Source(NamedTuple):
    """The request to sign. `target` is the request's path and query, or None for a payload."""

    body: bytes
    method: str = "POST"
    target: str | None = None


def _source(name: str, store: Path | None, access: PortAccess, runtime: Runtime, *, raw: bool) -> _Source:
    """Return the same source as `replay` for `name`. Raises StoreError, UsageError, SettingsError and PortApiError."""
    if parse_latest(name) is None and (name == "-" or is_file(name, runtime.cwd) or not _can_be_stored(name)):
        return _in_file(read_input(name, cwd=runtime.cwd, stdin=runtime.stdin), input_name(name), raw=raw)
    import asyncio
    from contextlib import closing

    from port_hook_cli.captures.store.finder import CaptureUse, Finder
    from port_hook_cli.replay.store import find_source

    with closing(Finder(store, runtime, CaptureUse.CHECK, sayer(runtime))) as finder:
        found = asyncio.run(find_source(name, finder, access)).invocation
    return _Source(found.body, found.method, found.target)


def _can_be_stored(name: str) -> bool:
    return name.isalnum() or is_run_id(name)


def _in_file(content: bytes, name: str, *, raw: bool) -> _Source:
    """Return the request of a capture file or a raw HTTP request, or the content of another file."""
    if CAPTURE_MARK in content:
        from port_hook_cli.captures.documents.request_file import NotARequest, capture_in  # a payload needs no parser

        try:
            capture = capture_in(content)
        except NotARequest as error:
            raise StoreError(f"{name} cannot be signed: {error}.", hint="Pass a complete capture file.") from error
        if capture is not None:
            found = require_whole(name, capture.invocation)
            return _Source(found.body, found.method, found.target)
    if not raw and content.lstrip()[:1].isalpha() and is_request(content):
        try:
            request = parse_request(content)
        except NotHttp as error:
            raise StoreError(
                f"{name} cannot be read as an HTTP request: {error}.", hint="To sign the raw bytes, add --raw."
            ) from error
        return _Source(request.body, request.method, request.target)
    if not raw:
        refuse_other_format(name, content)
    return _Source(content)


def _url(target: str | None) -> str:
    if target is None:
        return f"{DEFAULT_HANDLER}/"
    from port_hook_cli.invocations.targets import target_url

    return target_url(DEFAULT_HANDLER, target)


def _stamp(text: str, runtime: Runtime) -> str:
    if not re.fullmatch(r"[0-9A-Za-z_.:+-]+", text):
        raise UsageError(f"--timestamp: {text!r} cannot be used as a header value.", hint="Pass seconds since 1970.")
    if not text.isdecimal():
        tell(f"warning: Port sends digits as the timestamp, so most handlers reject {text}", runtime)
    return text


def _signable(content: bytes, *, name: str, raw: bool) -> Signable:
    from port_hook_cli.javascript.stringify import NotJson

    try:
        return signable(content, raw=raw)
    except NotJson as error:
        raise SourceError(
            f"{name} is not JSON: {error.fault}.", hint="Fix the JSON, or add --raw to sign the raw bytes."
        ) from error


def _print(request: SignedRequest, form: str, runtime: Runtime, *, as_json: bool) -> None:
    if as_json:
        from port_hook_cli.signatures.view import signature_record

        emit(signature_record(request, form=form), runtime.stdout)
    else:
        print(format_headers(request), file=runtime.stdout)
