"""Port's two encryptions of an input: how an encrypted value is laid out, and why one cannot be opened.

`aes256-gcm`: base64 of IV (16 bytes), ciphertext, tag (16). The key is the first 32 bytes of the client secret.
`client-side`: base64 of IV (12), an AES-256 key wrapped by RSA-OAEP with SHA-256 (as long as the key's modulus),
ciphertext, tag (16). What is encrypted is a string, or an object as its JSON. A value does not say which it is.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from port_hook_cli.errors import SettingsError
from port_hook_cli.text.secret import Secret

KEY_BYTES = 32
TAG_BYTES = 16
AES_GCM_IV_BYTES = 16
CLIENT_SIDE_IV_BYTES = 12
LEAST_BYTES = AES_GCM_IV_BYTES + TAG_BYTES
"""An encrypted value that is shorter has no room for IV and tag."""

_BASE64 = re.compile(r"([A-Za-z0-9+/_-]*+)(={0,2})")
_GROUP = 4
_URL_SAFE = str.maketrans("-_", "+/")


class Scheme(StrEnum):
    """Port's names of the two."""

    AES_GCM = "aes256-gcm"
    CLIENT_SIDE = "client-side"


class Problem(StrEnum):
    """Why a property could not be decrypted."""

    WRONG_KEY = "wrong-key"
    TRUNCATED = "truncated"
    NOT_ENCRYPTED = "not-encrypted"
    MISSING = "missing"


class CannotDecrypt(ValueError):
    """A value that is not opened; the message says why, in words that follow "it"."""

    problem: ClassVar[Problem]


class NotEncrypted(CannotDecrypt):
    """The value is nothing that Port has encrypted."""

    problem = Problem.NOT_ENCRYPTED


class Truncated(CannotDecrypt):
    """The end of the value is missing, as its length shows. A cut that leaves whole base64 looks like a wrong key."""

    problem = Problem.TRUNCATED


class WrongKey(CannotDecrypt):
    """The tag does not fit: another key, or a changed value. The two cannot be told apart."""

    problem = Problem.WRONG_KEY


class KeyUnreadable(SettingsError):
    """A key that cannot be read, or is none for this purpose."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The bytes of a value's base64; `is_whole` is False where its last group of characters is incomplete."""

    content: bytes = field(repr=False)
    is_whole: bool

    def unopened_by(self, key: str) -> CannotDecrypt:
        """Return why `key` (in words) does not open this."""
        if not self.is_whole:
            return Truncated("its base64 breaks off in the middle of a group of 4 characters")
        return WrongKey(f"{key} does not open it: another key was used, or the value was changed or cut on the way")


def aes_key(secret: Secret) -> bytes:
    """Return the key that Port makes of a client secret; raises KeyUnreadable for one of less than 32 bytes.

    Port's documented handlers cut off 32 bytes and hand them to AES-256, which takes no shorter key.
    """
    key = secret.reveal().encode("utf-8", "surrogateescape")[:KEY_BYTES]
    if len(key) < KEY_BYTES:
        raise KeyUnreadable(
            f"The client secret has only {len(key)} bytes; Port encrypts with the first {KEY_BYTES} of it.",
            hint="Is it whole? Port shows it under `...` > Credentials.",
        )
    return key


def read_sealed(value: Any) -> Sealed:
    """Return the bytes of an encrypted value; raises NotEncrypted.

    As in Node, padding may be missing and the alphabet may be the URL-safe one.
    """
    if not isinstance(value, str):
        raise NotEncrypted(f"it is {_noun(value)}, and an encrypted value is a string")
    match = _BASE64.fullmatch(value.strip())
    if match is None:
        raise NotEncrypted("it is not base64")
    characters, padding = match.groups()
    whole_groups = len(characters) // _GROUP * _GROUP
    # One character alone holds no byte.
    usable = characters if len(characters) - whole_groups > 1 else characters[:whole_groups]
    content = b64decode(usable.translate(_URL_SAFE) + "=" * (-len(usable) % _GROUP))
    if len(content) < LEAST_BYTES:
        raise NotEncrypted(
            f"it has {len(content)} bytes, and IV and tag alone take {LEAST_BYTES}: never encrypted, or cut"
        )
    return Sealed(content, is_whole=len(characters + padding) % _GROUP == 0)


def looks_encrypted(value: Any) -> bool:
    """Return whether a value is whole base64 that is long enough. Long words and identifiers may be that, too."""
    try:
        return read_sealed(value).is_whole
    except NotEncrypted:
        return False


def split_aes_gcm(sealed: Sealed) -> tuple[bytes, bytes]:
    """Return the IV, and the ciphertext with its tag."""
    return sealed.content[:AES_GCM_IV_BYTES], sealed.content[AES_GCM_IV_BYTES:]


def split_client_side(sealed: Sealed, modulus_bytes: int) -> tuple[bytes, bytes, bytes]:
    """Return the IV, the wrapped key, and the ciphertext with its tag; raises Truncated when they do not fit in."""
    start = CLIENT_SIDE_IV_BYTES + modulus_bytes
    if len(sealed.content) < start + TAG_BYTES:
        raise Truncated(
            f"it has {len(sealed.content)} bytes, and one for a private key of {modulus_bytes * 8} bits "
            f"at least {start + TAG_BYTES}"
        )
    return sealed.content[:CLIENT_SIDE_IV_BYTES], sealed.content[CLIENT_SIDE_IV_BYTES:start], sealed.content[start:]


def _noun(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {"dict": "an object", "list": "an array"}.get(type(value).__name__, "a number")
