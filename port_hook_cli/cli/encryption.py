"""The commands `port-hook decrypt` and `port-hook encrypt`, and the keys for encrypted inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from port_hook_cli.actions.encrypted_inputs import (
    Decrypter,
    Decryption,
    decryption_lines,
    decryption_record,
    encryption_record,
    likely_paths,
    plain_value,
    problem_lines,
    with_decrypted,
)
from port_hook_cli.actions.encryption import KeyUnreadable, Problem, Scheme, aes_key
from port_hook_cli.cli import options
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.option_groups import argument, command, is_typed, option, refuse_contradictions
from port_hook_cli.errors import PortHookError, SourceError, StoreError, UsageError
from port_hook_cli.files.user_files import is_file, read_input, read_stdin
from port_hook_cli.invocations.models import Payload
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET, Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, sayer, tell, write_bytes, write_json_text
from port_hook_cli.terminal.prompts import can_ask
from port_hook_cli.text.safe import input_name, printable, printable_lines
from port_hook_cli.text.secret import Secret

_MOST_LIKELY = 5
_BOM = b"\xef\xbb\xbf"
_KINDS = "Pass a capture (an ID or `last`), a capture file, a JSON payload, a raw HTTP request, or - for stdin."


@command
def decrypt(
    ctx: typer.Context,
    capture: Annotated[
        str,
        argument(
            help="A capture ID, `last`, or a file (payload, capture, raw HTTP request; - for stdin).",
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
            "Default: the properties that the payload lists as encrypted.",
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
        bool, option("--payload", help="Print the whole payload, with its values decrypted.", excludes=("--json",))
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
) -> ExitCode:
    """Decrypt the encrypted inputs of a payload.

    Exits with code 0 if every input was decrypted, and with 1 otherwise. Doesn't save decrypted values.
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
    """Return the payload of a file or a capture. Raises StoreError if the file or capture is missing."""
    from port_hook_cli.captures.store.finder import CaptureUse, Finder  # `encrypt` doesn't use the store
    from port_hook_cli.invocations.payload import read_payload

    with closing(Finder(store, runtime, CaptureUse.CHECK, sayer(runtime), kinds=_KINDS)) as finder:
        found = finder.find(name)
    request = found.request
    body = request.body.removeprefix(_BOM) if found.is_body_only else request.body
    payload = read_payload(body, request.headers)
    if payload.problem:
        raise StoreError(f"{input_name(name)} does not contain a JSON payload: {payload.problem}.", hint=_KINDS)
    return payload


def _nothing_named(payload: Payload) -> PortHookError:
    likely = ", ".join(map(str, likely_paths(payload.document, most=_MOST_LIKELY)))
    return PortHookError(
        "The payload does not list any encrypted properties.",
        hint=f"Pass the paths of the values. These look encrypted: {printable(likely)}."
        if likely
        else "Check that this is the right payload: none of its values look encrypted.",
    )


def _write_whole(document: Any, runtime: Runtime) -> None:
    try:
        text = stringify(json.dumps(document), "  ") + "\n"
    except (RecursionError, ValueError) as error:
        raise StoreError("The payload cannot be written as JSON.", hint="Leave out --payload.") from error
    write_json_text(text, runtime.stdout, environ=runtime.environ)


def _show(decryptions: Sequence[Decryption], runtime: Runtime, *, alone: bool) -> None:
    """Print the decrypted values. A single value is written byte for byte if stdout is a pipe or a file."""
    if not alone:
        Output(runtime.stdout, runtime.environ).print(*decryption_lines(decryptions))
        return
    (decryption,) = decryptions
    if decryption.plaintext is None:
        return
    if runtime.stdout.isatty():
        from port_hook_cli.text.styled import JSON, Styled

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


@command
def encrypt(
    ctx: typer.Context,
    value: Annotated[
        str,
        argument(
            help="The value, a file that contains it, or - for stdin. JSON objects are serialized like JSON.stringify.",
            metavar="VALUE|FILE|-",
            stdin="the value",
            show_default=False,
        ),
    ],
    public_key: Annotated[
        str | None,
        option(
            "--public-key",
            help="Encrypt client-side, with this RSA public key (PEM).",
            metavar="FILE|-",
            stdin="the key",
        ),
    ] = None,
    as_json: options.Json = False,
    org: options.Org = None,
    secret_file: options.SecretFile = None,
) -> ExitCode:
    """Encrypt a test value the way Port encrypts inputs.

    Uses the client secret (aes256-gcm) or a public key (client-side encryption). Other users of this machine can see a
    VALUE on the command line, so pass real secrets on stdin.
    """
    from port_hook_cli.engines import encryption

    runtime: Runtime = ctx.obj
    refuse_contradictions(
        {
            "--public-key": public_key is not None,
            "--secret-file": secret_file is not None and is_typed(ctx, "secret_file"),
        }
    )
    plaintext = _plaintext(value, runtime)
    if public_key is not None:
        key = encryption.read_public_key(public_key, read_key_file(public_key, runtime))
        scheme, encrypted = Scheme.CLIENT_SIDE, encryption.encrypt_client_side(key, plaintext)
    else:
        access = PortAccess(runtime, sayer(runtime), org=org, secret_file=secret_file, needs=ONLY_THE_SECRET)
        scheme, encrypted = Scheme.AES_GCM, encryption.encrypt_aes_gcm(access.secret, plaintext)
    if as_json:
        emit(encryption_record(scheme, encrypted), runtime.stdout)
    else:
        print(encrypted, file=runtime.stdout)
    return ExitCode.OK


def _plaintext(value: str, runtime: Runtime) -> bytes:
    """Return the text to encrypt, as UTF-8.

    A string stays unchanged, and an object is in the form of JSON.stringify.
    """
    if not value:
        raise UsageError(
            "The value is empty.", hint="Check whether a shell variable is unset. With -, stdin may be empty."
        )
    try:
        text = _content(value, runtime).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"The value is not UTF-8 text (at byte {error.start}), and Port encrypts text.", hint="Encode it first."
        ) from error
    if text.lstrip().startswith("{"):
        try:
            return stringify(text).encode("utf-8", "surrogatepass")
        except NotJson:
            pass
    return text.encode()


def _content(value: str, runtime: Runtime) -> bytes:
    """Return the bytes of the value, without the one line end that an editor or `echo` adds to a file or stdin."""
    if value != "-" and not is_file(value, runtime.cwd):
        return value.encode("utf-8", "surrogateescape")
    if value != "-":
        tell(f"note: encrypting the content of the file {printable(value)}", runtime)
    content = read_input(value, cwd=runtime.cwd, stdin=runtime.stdin)
    return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content


def build_decrypter(
    secret: Secret | None, private_key: str | None, runtime: Runtime, *, paths: Sequence[JsonPath] = ()
) -> Decrypter:
    """Return a decrypter with the secret and, if not None, the private key in the file `private_key` (`-`: stdin).

    Raises KeyUnreadable for an unusable key. With a private key, a secret that is too short is ignored.
    """
    from port_hook_cli.engines import encryption

    deciphers: dict[Scheme, Callable[[Any], bytes]] = {}
    if private_key is not None:
        pem = read_key_file(private_key, runtime)
        runtime.keep_secret(pem.decode("utf-8", "replace"))
        key = encryption.read_private_key(private_key, pem, partial(_ask_passphrase, private_key, runtime))
        deciphers[Scheme.CLIENT_SIDE] = partial(encryption.decrypt_client_side, key)
    if secret is not None and _is_usable(secret, strict=private_key is None):
        deciphers[Scheme.AES_GCM] = partial(encryption.decrypt_aes_gcm, secret)
    return Decrypter(deciphers=deciphers, paths=paths)


def read_key_file(name: str, runtime: Runtime) -> bytes:
    """Return the content of a key file, or of stdin for `-`. Raises KeyUnreadable if the file cannot be read."""
    if name == "-":
        return read_stdin(runtime.stdin)
    try:
        return (runtime.cwd / name).read_bytes()
    except OSError as error:
        raise KeyUnreadable(
            f"The key {name} cannot be read: {error.strerror}.", hint="Pass the path of a PEM file, or - for stdin."
        ) from error


def _is_usable(secret: Secret, *, strict: bool) -> bool:
    try:
        aes_key(secret)
    except KeyUnreadable:
        if strict:
            raise
        return False
    return True


def _ask_passphrase(name: str, runtime: Runtime) -> str | None:
    if not can_ask(runtime):
        return None
    from getpass import getpass

    try:
        passphrase = getpass(f"Passphrase of {printable(name)}: ", stream=runtime.stderr)
    except EOFError:
        return None
    runtime.keep_secret(passphrase)
    return passphrase
