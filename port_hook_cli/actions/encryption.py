"""Port's two encryption schemes for inputs: the layout of an encrypted value, and why a value cannot be decrypted.

`aes256-gcm` is base64 of the IV (16 bytes), the ciphertext and the tag (16 bytes). The key is the first 32 bytes of the
client secret. `client-side` is base64 of the IV (12 bytes), a wrapped AES-256 key, the ciphertext and the tag (16
bytes). RSA-OAEP with SHA-256 wraps the AES key, so the wrapped key is as long as the RSA modulus. The plaintext is a
string or the JSON of an object. Nothing in the value shows which.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import field
from enum import StrEnum
from typing import Any, ClassVar

from port_hook_cli.errors import SettingsError
from port_hook_cli.frozen import frozen
from port_hook_cli.text.secret import Secret

KEY_BYTES = 32
TAG_BYTES = 16
AES_GCM_IV_BYTES = 16
CLIENT_SIDE_IV_BYTES = 12
LEAST_BYTES = AES_GCM_IV_BYTES + TAG_BYTES
"""The length of the shortest encrypted value. A shorter value cannot contain an IV and a tag."""

_BASE64 = r"([A-Za-z0-9+/_-]*+)(={0,2})"
_GROUP = 4
_URL_SAFE = str.maketrans("-_", "+/")


class Scheme(StrEnum):
    """Port's names for the two schemes."""

    AES_GCM = "aes256-gcm"
    CLIENT_SIDE = "client-side"


class Problem(StrEnum):
    """The reasons why a property cannot be decrypted."""

    WRONG_KEY = "wrong-key"
    TRUNCATED = "truncated"
    NOT_ENCRYPTED = "not-encrypted"
    MISSING = "missing"


class CannotDecrypt(ValueError):
    """A value cannot be decrypted. The message explains why, and begins with "it" or with a description of the key."""

    problem: ClassVar[Problem]


class NotEncrypted(CannotDecrypt):
    """Port did not encrypt the value."""

    problem = Problem.NOT_ENCRYPTED


class Truncated(CannotDecrypt):
    """The length of the value shows that its end is missing.

    If the rest is valid base64, WrongKey is raised instead.
    """

    problem = Problem.TRUNCATED


class WrongKey(CannotDecrypt):
    """The tag does not match. Another key was used, or the value was changed. The two cases cannot be told apart."""

    problem = Problem.WRONG_KEY


class KeyUnreadable(SettingsError):
    """A key cannot be read, or cannot be used to decrypt."""


@frozen
class Sealed:
    """The decoded bytes of an encrypted value. `is_whole` is False if the last group of base64 is incomplete."""

    content: bytes = field(repr=False)
    is_whole: bool

    def unopened_by(self, key: str) -> CannotDecrypt:
        """Return an error that explains why the key that `key` describes does not decrypt the value."""
        if not self.is_whole:
            return Truncated("its base64 ends in the middle of a group of 4 characters")
        return WrongKey(
            f"{key} does not decrypt it: another key was used, or the value was changed or truncated on the way"
        )


def aes_key(secret: Secret) -> bytes:
    """Return the key that Port derives from a client secret. Raises KeyUnreadable if the secret is too short.

    Port's documented handlers use the first 32 bytes as the key of AES-256, which does not accept a shorter key.
    """
    key = secret.reveal().encode("utf-8", "surrogateescape")[:KEY_BYTES]
    if len(key) < KEY_BYTES:
        raise KeyUnreadable(
            f"The client secret has only {len(key)} bytes, but Port encrypts with the first {KEY_BYTES}.",
            hint="Check that it is complete. Port shows it under `...` > Credentials.",
        )
    return key


def read_sealed(value: Any) -> Sealed:
    """Decode the base64 of an encrypted value. Raises NotEncrypted.

    As in Node, the padding may be missing and the alphabet may be URL-safe.
    """
    if not isinstance(value, str):
        raise NotEncrypted(f"it is {_noun(value)}, but an encrypted value is a string")
    match = re.fullmatch(_BASE64, value.strip())
    if match is None:
        raise NotEncrypted("it is not base64")
    characters, padding = match.groups()
    whole_groups = len(characters) // _GROUP * _GROUP
    # A single character does not encode a byte.
    usable = characters if len(characters) - whole_groups > 1 else characters[:whole_groups]
    content = b64decode(usable.translate(_URL_SAFE) + "=" * (-len(usable) % _GROUP))
    if len(content) < LEAST_BYTES:
        raise NotEncrypted(
            f"it has {len(content)} bytes, but IV and tag alone take {LEAST_BYTES}: it is not encrypted, or truncated"
        )
    return Sealed(content, is_whole=len(characters + padding) % _GROUP == 0)


def looks_encrypted(value: Any) -> bool:
    """Return whether a value is complete base64 and long enough to be encrypted. Long words can match too."""
    try:
        return read_sealed(value).is_whole
    except NotEncrypted:
        return False


def split_aes_gcm(sealed: Sealed) -> tuple[bytes, bytes]:
    """Return the IV and the ciphertext with its tag."""
    return sealed.content[:AES_GCM_IV_BYTES], sealed.content[AES_GCM_IV_BYTES:]


def split_client_side(sealed: Sealed, modulus_bytes: int) -> tuple[bytes, bytes, bytes]:
    """Return the IV, the wrapped key, and the ciphertext with its tag. Raises Truncated if the value is too short."""
    start = CLIENT_SIDE_IV_BYTES + modulus_bytes
    if len(sealed.content) < start + TAG_BYTES:
        raise Truncated(
            f"it has {len(sealed.content)} bytes. With a private key of {modulus_bytes * 8} bits, it would have at "
            f"least {start + TAG_BYTES}"
        )
    return sealed.content[:CLIENT_SIDE_IV_BYTES], sealed.content[CLIENT_SIDE_IV_BYTES:start], sealed.content[start:]


def _noun(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return {"dict": "an object", "list": "an array"}.get(type(value).__name__, "a number")
