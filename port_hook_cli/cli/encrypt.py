"""`port-hook encrypt`."""

from __future__ import annotations

from typing import Annotated

import typer

from port_hook_cli.actions.encrypted_inputs import encryption_record
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.cli import options
from port_hook_cli.cli.declaration import refuse_contradictions
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.keys import read_key_file
from port_hook_cli.cli.option_groups import argument, command, option
from port_hook_cli.errors import UsageError
from port_hook_cli.files.input import read_input
from port_hook_cli.javascript.stringify import NotJson, stringify
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import ONLY_THE_SECRET
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, sayer, tell
from port_hook_cli.text.safe import printable


@command
def encrypt(
    ctx: typer.Context,
    value: Annotated[
        str,
        argument(
            help="The value, a file that contains it, or - for stdin. A JSON object is encrypted as Port writes it.",
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
    """Encrypt a test value as Port encrypts an input.

    It uses the client secret (aes256-gcm), or a public key (client-side encryption). Other users of this machine can
    see a VALUE on the command line, so pass a real one on stdin.
    """
    from port_hook_cli.engines import encryption

    runtime: Runtime = ctx.obj
    refuse_contradictions(
        {
            "--public-key": public_key is not None,
            "--secret-file": secret_file is not None and options.is_given(ctx, "secret_file"),
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
    """Return the text to encrypt, as UTF-8: a string unchanged, an object as JSON.stringify writes it."""
    if not value:
        raise UsageError(
            "The value is empty.", hint="Check whether a shell variable is unset. With -, stdin may be empty."
        )
    try:
        text = _content(value, runtime).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The value is not UTF-8 text (at byte {error.start}), and Port encrypts text.", hint="Encode it first."
        ) from error
    if text.lstrip().startswith("{"):
        try:
            return stringify(text).encode("utf-8", "surrogatepass")
        except NotJson:
            pass
    return text.encode()


def _content(value: str, runtime: Runtime) -> bytes:
    """Return the bytes of the value. One line end is removed from a file or stdin: an editor or `echo` adds it."""
    if value != "-" and not _is_file(value, runtime):
        return value.encode("utf-8", "surrogateescape")
    if value != "-":
        tell(f"note: the content of the file {printable(value)} is encrypted", runtime)
    content = read_input(value, cwd=runtime.cwd, stdin=runtime.stdin)
    return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content


def _is_file(name: str, runtime: Runtime) -> bool:
    try:
        return (runtime.cwd / name).is_file()
    except OSError:  # a name too long for a file
        return False
