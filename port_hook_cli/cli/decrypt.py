"""`port-hook decrypt`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from port_hook_cli.actions.encrypted_inputs import (
    Decryption,
    decryption_lines,
    decryption_record,
    likely_paths,
    plain_value,
    problem_lines,
    with_decrypted,
)
from port_hook_cli.actions.encryption import Problem, Scheme
from port_hook_cli.captures.store.finder import CaptureUse, Finder
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.keys import build_decrypter
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import PortHookError, StoreError
from port_hook_cli.invocations.models import Payload
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, sayer, tell, write_bytes, write_json_text
from port_hook_cli.text.safe import printable, printable_lines
from port_hook_cli.text.styled import JSON, Styled

_MOST_LIKELY = 5
_BOM = b"\xef\xbb\xbf"
_KINDS = "Give a capture (an id or `last`), a capture file, a JSON payload, or a raw HTTP request; - reads stdin."


@command
def decrypt(
    ctx: typer.Context,
    capture: Annotated[
        str,
        argument(
            help="A capture's id, `last`, or a file (payload, capture, raw HTTP request; - for stdin).",
            metavar="CAPTURE|last|FILE",
            stdin="the payload",
            completes="captures_and_files",
            show_default=False,
        ),
    ],
    paths: Annotated[
        list[str] | None,
        argument(
            help="The path of a value, such as payload.properties.password, or an input's name. "
            "Default: the properties that the payload names as encrypted.",
            metavar="[PATH]...",
            show_default=False,
        ),
    ] = None,
    private_key: Annotated[
        str | None,
        option(
            "--private-key",
            help="The RSA private key (PEM) for client-side encrypted values.",
            metavar="FILE|-",
            stdin="the private key",
        ),
    ] = None,
    payload: Annotated[
        bool, option("--payload", help="Print the whole payload with the decrypted values in it.", excludes=("--json",))
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
) -> ExitCode:
    """Decrypt the encrypted inputs of a payload.

    Exits with code 0 if every input was decrypted, and with 1 otherwise. Decrypted values are not saved.
    """
    runtime: Runtime = ctx.obj
    wanted = tuple(map(JsonPath.parse, paths or ()))
    source = _read(capture, store, runtime)
    settings = PortAccess(runtime, sayer(runtime), org=org, secret_file=secret_file, needs=ONLY_THE_SECRET).settings
    secret = settings.require_secret() if private_key is None else settings.client_secret
    decrypter = build_decrypter(secret, private_key, runtime, paths=wanted)
    decryptions = decrypter.decrypt(source)
    if not decryptions:
        raise _nothing_named(source)
    if as_json:
        for decryption in decryptions:
            emit(decryption_record(decryption), runtime.stdout)
    elif payload:
        _write_whole(with_decrypted(source.document, decryptions), runtime)
    else:
        _show(decryptions, runtime, alone=len(wanted) == 1)
    for line in problem_lines(decryptions, tried=_tried(settings, private_key, tuple(decrypter.deciphers))):
        tell(line, runtime)
    if settings.conflict and any(decryption.problem is Problem.WRONG_KEY for decryption in decryptions):
        tell(f"hint: {settings.conflict}", runtime)
    return ExitCode.FAILED if any(decryption.problem for decryption in decryptions) else ExitCode.OK


def _read(name: str, store: Path | None, runtime: Runtime) -> Payload:
    """Return the payload of a file or a capture; raises StoreError if there is none."""
    with closing(Finder(store, runtime, CaptureUse.CHECK, sayer(runtime), kinds=_KINDS)) as finder:
        found = finder.find(name)
    request = found.request
    body = request.body.removeprefix(_BOM) if found.is_body_only else request.body
    payload = read_payload(body, request.headers)
    if payload.problem:
        raise StoreError(f"{name} does not contain a JSON payload: {payload.problem}.", hint=_KINDS)
    return payload


def _nothing_named(payload: Payload) -> PortHookError:
    likely = ", ".join(map(str, likely_paths(payload.document, most=_MOST_LIKELY)))
    return PortHookError(
        "The payload does not name any encrypted property.",
        hint=f"Give the paths of the values. These look encrypted: {printable(likely)}."
        if likely
        else "None of its values looks encrypted either. Is it the right payload?",
    )


def _write_whole(document: Any, runtime: Runtime) -> None:
    try:
        text = stringify(json.dumps(document), "  ") + "\n"
    except (RecursionError, ValueError) as error:
        raise StoreError("The payload cannot be written as JSON.", hint="Leave out --payload.") from error
    write_json_text(text, runtime.stdout, environ=runtime.environ)


def _show(decryptions: Sequence[Decryption], runtime: Runtime, *, alone: bool) -> None:
    """Print the values; a single value is written to a pipe or a file byte for byte."""
    if not alone:
        Output(runtime.stdout, runtime.environ).print(*decryption_lines(decryptions))
        return
    (decryption,) = decryptions
    if decryption.plaintext is None:
        return
    if runtime.stdout.isatty():
        style = "" if isinstance(decryption.value, str) else JSON
        lines = printable_lines(plain_value(decryption)).split("\n")
        Output(runtime.stdout, runtime.environ).print(*(Styled(line, style) for line in lines))
    else:
        write_bytes(decryption.plaintext, runtime.stdout)


def _tried(settings: Settings, private_key: str | None, schemes: Sequence[Scheme]) -> list[str]:
    keys = {
        Scheme.AES_GCM: f"the client secret of {settings.sources.get('client_secret')}",
        Scheme.CLIENT_SIDE: f"the private key {private_key}",
    }
    return [f"{keys[scheme]} ({scheme})" for scheme in schemes]
