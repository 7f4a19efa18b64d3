"""`port-hook sign`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import ANY_VALUE, NoEffect, also, argument, command, option
from port_hook_cli.errors import StoreError, UsageError
from port_hook_cli.files.user_files import read_input
from port_hook_cli.invocations.snippets import SNIPPET_FORMATS, SignedRequest, find_format, format_headers
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import CAPTURE_MARK, Signable, TimestampUnit, signable, signed_headers
from port_hook_cli.terminal.console import emit, sayer, tell, write_bytes
from port_hook_cli.text.safe import printable

_DEFAULT_URL = "http://127.0.0.1:8000/"
_HEADERS, _JSON = "headers", "json"
_FORMATS = (_HEADERS, _JSON, *(row.name for row in SNIPPET_FORMATS))


@command
def sign(
    ctx: typer.Context,
    payload: Annotated[
        str,
        argument(
            help="A JSON file, a capture file, or - for stdin.",
            metavar="PAYLOAD|-",
            stdin="the payload",
            completes="files",
        ),
    ],
    timestamp: Annotated[
        str | None, option("--timestamp", help="The value of the timestamp header. Default: now.", metavar="N")
    ] = None,
    unit: Annotated[
        TimestampUnit,
        options.TIMESTAMP_UNIT,
        also(no_effect=(NoEffect("--timestamp gives the header's text", beside=("--timestamp",)),)),
    ] = TimestampUnit.SECONDS,
    raw: Annotated[bool, option("--raw", help="Sign the file's exact bytes, JSON or not.")] = False,
    output: Annotated[
        str,
        option(
            "--format",
            help="What to print: the two headers, a record, or a command to paste.",
            metavar=f"<{'|'.join(_FORMATS)}>",
            parser=options.one_of(_FORMATS),
            trust=ANY_VALUE,
        ),
    ] = _HEADERS,
    to: Annotated[
        str, option("--to", help="Where the printed command sends the request.", metavar="URL|PORT")
    ] = _DEFAULT_URL,
    secret_file: options.SecretFile = None,
    org: options.Org = None,
) -> ExitCode:
    """Sign a payload as Port does and print the request.

    It signs the output of JSON.stringify, as Port does; with --raw, it signs the file's exact bytes.
    """
    from port_hook_cli.port_api.access import PortAccess
    from port_hook_cli.port_api.settings import ONLY_THE_SECRET

    runtime: Runtime = ctx.obj
    secret = PortAccess(runtime, sayer(runtime), org=org, secret_file=secret_file, needs=ONLY_THE_SECRET).secret
    url = _url(to)
    stamp = unit.stamp(runtime.now()) if timestamp is None else _stamp(timestamp, runtime)
    signed = _signable(read_input(payload, cwd=runtime.cwd, stdin=runtime.stdin), name=payload, raw=raw)
    if signed.difference:
        tell(f"note: signed {printable(payload)} {signed.difference}; --raw signs the exact bytes", runtime)
    fields = (("content-type", "application/json"), *signed_headers(signed.body, secret, stamp))
    _print(SignedRequest(url=url, headers=fields, body=signed.body), output, signed.form, runtime)
    return ExitCode.OK


def _url(to: str) -> str:
    if to == _DEFAULT_URL:
        return to
    from port_hook_cli.invocations.targets import read_target

    return read_target(to, "--to")


def _stamp(text: str, runtime: Runtime) -> str:
    if not re.fullmatch(r"[0-9A-Za-z_.:+-]+", text):
        raise UsageError(f"--timestamp: {text!r} cannot be used as a header value.", hint="Give seconds since 1970.")
    if not text.isdecimal():
        tell(f"warning: Port sends digits as the timestamp; {text} will be refused by most handlers", runtime)
    return text


def _signable(content: bytes, *, name: str, raw: bool) -> Signable:
    from port_hook_cli.javascript.stringify import NotJson

    if CAPTURE_MARK in content:
        from port_hook_cli.captures.documents.request_file import NotARequest, body_in  # a payload needs no parser

        try:
            content = body_in(content)
        except NotARequest as error:
            raise StoreError(f"{name} cannot be signed: {error}.", hint="Give a complete capture file.") from error
    try:
        return signable(content, raw=raw)
    except NotJson as error:
        raise UsageError(
            f"{name} is not JSON: {error.fault}.", hint="Fix the JSON, or sign its exact bytes with --raw."
        ) from error


def _print(request: SignedRequest, output: str, form: str, runtime: Runtime) -> None:
    if output == _JSON:
        from port_hook_cli.signatures.view import signature_record

        emit(signature_record(request, form=form), runtime.stdout)
        return
    # UTF-8 whatever the terminal's encoding is: the printed command must contain the signed bytes.
    write = format_headers if output == _HEADERS else find_format(output).write
    write_bytes(f"{write(request)}\n".encode(), runtime.stdout)
