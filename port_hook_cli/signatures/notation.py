"""Read `x-port-signature`, as Port writes it and with common mistakes."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import NamedTuple

from port_hook_cli.invocations.models import Cause
from port_hook_cli.signatures import causes

MAX_CHARACTERS = 1_024
"""Longer values are not read: no notation of 32 bytes is nearly as long."""

_DIGEST_BYTES = 32
_PREFIX = "v1,"
_versions = re.compile(r"(?:(?:v[0-9]{1,3}|sha-?256) ?[,=:] ?)*", re.IGNORECASE).match
_hex = re.compile("[0-9a-fA-F]{64}").fullmatch


class SignatureReading(NamedTuple):
    """The 32 bytes that a header may mean. `causes` are its deviations from `v1,` and their base64."""

    digest: bytes
    causes: tuple[Cause, ...] = ()


def read_signature(value: str) -> SignatureReading | None:
    """Return what `value` (without surrounding white space) means, or None if it is not a signature. Never raises."""
    if len(value) > MAX_CHARACTERS:
        return None
    match = _versions(value)
    prefix = match[0] if match else ""
    decoded = _decode(value[len(prefix) :])
    if decoded is None:
        return None
    digest, deviations = decoded
    return SignatureReading(digest, (*_prefix_causes(prefix), *deviations))


def _prefix_causes(prefix: str) -> Iterator[Cause]:
    if not prefix:
        yield causes.PREFIX_MISSING
    elif prefix != _PREFIX:
        yield causes.PREFIX_VERSION


def _decode(text: str) -> tuple[bytes, tuple[Cause, ...]] | None:
    if _hex(text):
        return bytes.fromhex(text), (causes.HEX_ENCODED,)
    standard = text.replace("-", "+").replace("_", "/")
    decoded = _base64(standard)
    if len(decoded) == _DIGEST_BYTES:
        return decoded, tuple(_base64_causes(text, standard, decoded))
    digest = decoded.decode("latin-1")
    if _hex(digest):
        return bytes.fromhex(digest), (causes.HEX_ENCODED,)
    return None


def _base64(text: str) -> bytes:
    """Return what `text` decodes to with correct padding, or nothing if it is not base64."""
    bare = text.rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _base64_causes(text: str, standard: str, digest: bytes) -> Iterator[Cause]:
    if text != standard:
        yield causes.BASE64_URLSAFE
    if standard != b64encode(digest).decode("ascii"):
        yield causes.BASE64_PADDING
