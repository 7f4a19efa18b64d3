"""The keys of encrypted inputs: the client secret, and key files; a passphrase is asked for on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from port_hook_cli.actions.encryption import KeyUnreadable, Scheme, aes_key
from port_hook_cli.engines.decrypter import Decrypter
from port_hook_cli.files.input import read_stdin
from port_hook_cli.javascript.paths import JsonPath
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.prompts import can_ask
from port_hook_cli.text.safe import printable
from port_hook_cli.text.secret import Secret


def build_decrypter(
    secret: Secret | None, private_key: str | None, runtime: Runtime, *, paths: Sequence[JsonPath] = ()
) -> Decrypter:
    """Return a decrypter that uses the secret and, if given, the private key in the file `private_key` (`-`: stdin).

    Raises KeyUnreadable. With a private key, a secret that is too short is ignored.
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
    """Return the content of a key's file, or of stdin for `-`; raises KeyUnreadable."""
    if name == "-":
        return read_stdin(runtime.stdin)
    try:
        return (runtime.cwd / name).read_bytes()
    except OSError as error:
        raise KeyUnreadable(
            f"The key {name} cannot be read: {error.strerror}.", hint="Give the path of a PEM file, or - for stdin."
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
