"""The values that a mapping's `fieldsToDecryptPaths` name, found as glom finds them (`decrypt_payload_fields`)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Decipher = Callable[[bytes], bytes | None]
"""Returns the plaintext of IV, ciphertext and tag, or None if the key does not decrypt it."""

_LEAST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptedPath:
    """What happens to the value at a path: `problem` says why it stays as it is; "" if it was decrypted."""

    path: str
    problem: str = ""
    plaintext: str = field(default="", repr=False)


def decrypt_paths(document: Any, paths: Sequence[str], decipher: Decipher) -> tuple[DecryptedPath, ...]:
    """Replace the encrypted values at `paths` in `document`, as the agent does, and return what happened to each."""
    return tuple(_decrypt(document, path, decipher) for path in paths)


def _decrypt(document: Any, path: str, decipher: Decipher) -> DecryptedPath:
    *steps, last = path.split(".")
    try:
        holder = document
        if "*" in (*steps, last) or "**" in (*steps, last):  # glom returns a list for it
            return DecryptedPath(path=path, problem="a path with a wildcard decrypts nothing")
        for step in steps:
            holder = holder[_key(holder, step)]
        key = _key(holder, last)
        value = holder[key]
    except (LookupError, TypeError, ValueError):
        return DecryptedPath(path=path, problem="the message has no value there")
    if value is None:
        return DecryptedPath(path=path, problem="the value is null")
    try:
        holder[key] = plaintext = _plaintext(value, decipher)
    except ValueError as error:
        return DecryptedPath(path=path, problem=str(error))
    return DecryptedPath(path=path, plaintext=plaintext)


def _key(holder: Any, step: str) -> Any:
    """Return the key or index of a step; raises TypeError for a value without elements."""
    if isinstance(holder, list):
        return int(step)
    if isinstance(holder, dict):
        return step
    raise TypeError(step)


def _plaintext(value: Any, decipher: Decipher) -> str:
    if not isinstance(value, str):
        raise ValueError("the value is not text")  # noqa: TRY004 - a value of the message, not an argument
    try:
        content = b64decode(value)
    except (NotBase64, ValueError):
        raise ValueError("the value is not base64") from None
    if len(content) < _LEAST_BYTES:
        raise ValueError("the value is too short to be encrypted")
    plain = decipher(content)
    if plain is None:
        raise ValueError("the client secret does not decrypt it")
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise ValueError("the decrypted value is not UTF-8 text") from None
