"""Read the signature headers of a request: repeated and joined values, and the notations of a signature."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Cause
from port_hook_cli.signatures import causes

MAX_CHARACTERS = 1_024
"""Longer values are not read, because no notation of 32 bytes is nearly as long."""

MAX_TIMESTAMP_CHARACTERS = 64
"""Longer timestamps are malformed, and nothing is hashed with them."""

_MAX_VALUES = 4
"""If a header is repeated more often than this, only its first values are used."""

_MAX_FIELD = 4_096
OWS = " \t"
"""Optional whitespace around the value of a header (RFC 9110)."""

_DIGEST_BYTES = 32
_PREFIX = "v1,"
_OTHER_HASHES = {20: "SHA-1", 48: "SHA-384", 64: "SHA-512"}
# These patterns are compiled when they are first used, because most signatures do not need them.
_VERSIONS = r"(?i)(?:(?:v[0-9]{1,3}|sha-?(?:1|256|384|512)) ?[,=:] ?)*"
_HEX = "[0-9a-fA-F]{64}"
_OTHER_HEX = "(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})"
_SIGNATURE_JOINT = r"(?i), (?=v[0-9])"


@frozen
class ParsedSignature:
    """The 32 bytes that a header may stand for. `causes` are its deviations from `v1,` and base64 of these bytes."""

    digest: bytes
    causes: tuple[Cause, ...] = ()


@frozen
class SignatureHeaders:
    """The signatures and timestamps of a request.

    `is_joined` means that one header had several values: Node, for example, joins repeated headers.
    """

    signatures: Sequence[str]
    timestamps: Sequence[str]
    is_joined: bool = False

    @property
    def doubling(self) -> tuple[Cause, ...]:
        """The cause for more than one signature or timestamp, or an empty tuple."""
        if len(self.signatures) == 1 and len(self.timestamps) == 1:
            return ()
        is_same = len(set(self.signatures)) == 1 and len(set(self.timestamps)) == 1
        return (causes.HEADER_REPEATED if is_same else causes.HEADER_AMBIGUOUS,)

    def parsed(self) -> list[ParsedSignature]:
        """Return the decoded signatures. All signatures except the first have `HEADER_AMBIGUOUS` as a cause."""
        found = []
        for position, value in enumerate(self.signatures):
            signature = read_signature(value)
            if signature is not None:
                extra = (causes.HEADER_AMBIGUOUS,) if position else ()
                found.append(ParsedSignature(signature.digest, (*extra, *signature.causes)))
        return found

    def separated(self) -> SignatureHeaders:
        """Return these headers with joined values separated."""
        signatures = [part for value in self.signatures[:_MAX_VALUES] for part in signatures_in(value)]
        timestamps = [part for value in self.timestamps[:_MAX_VALUES] for part in _timestamps_in(value)]
        is_joined = len(signatures) > len(self.signatures) or len(timestamps) > len(self.timestamps)
        return SignatureHeaders(signatures[:_MAX_VALUES], timestamps[:_MAX_VALUES], is_joined)


def whole_number(text: str) -> bool:
    """Return whether a timestamp is a whole number of up to 19 ASCII digits, as nanoseconds have."""
    return re.fullmatch("-?[0-9]{1,19}", text) is not None


def respelled(value: str, digest: bytes) -> str | None:
    """Return `value` with another digest in the same notation, or None if `value` is not a signature.

    The digest of another hash is replaced with a digest of the same length. Never raises.
    """
    match = re.match(_VERSIONS, value) if len(value) <= MAX_CHARACTERS else None
    prefix = match[0] if match else ""
    text = value[len(prefix) :]
    if match and (re.fullmatch(_HEX, text) or re.fullmatch(_OTHER_HEX, text)):
        written = _stretched(digest, len(text) // 2).hex()
        return prefix + (written.upper() if text.upper() == text else written)
    standard = text.replace("-", "+").replace("_", "/")
    decoded = _base64(standard) if match else b""
    if re.fullmatch(_HEX, decoded.decode("latin-1")):
        new = digest.hex().encode()
    elif len(decoded) == _DIGEST_BYTES or len(decoded) in _OTHER_HASHES:
        new = _stretched(digest, len(decoded))
    else:
        return None
    bare, plain = (b64encode(each).decode("ascii").rstrip("=") for each in (new, decoded))
    if standard.rstrip("=") != plain:  # the last character has bits that are not part of the digest
        bare = bare[:-1] + chr(ord(bare[-1]) + 1)
    padding = "=" * (len(text) - len(text.rstrip("=")))
    return prefix + (bare if text == standard else bare.replace("+", "-").replace("/", "_")) + padding


def _stretched(digest: bytes, size: int) -> bytes:
    return (digest * 2)[:size]


def read_fields(headers: Headers) -> tuple[list[str], list[str]]:
    """Return all nonempty signatures and all nonempty timestamps."""
    signatures = [text for value in headers.all(SIGNATURE_HEADER) if (text := value.strip(OWS))]
    timestamps = [text for value in headers.all(TIMESTAMP_HEADER) if (text := value.strip(OWS))]
    return signatures, timestamps


def signatures_in(value: str) -> list[str]:
    """Return the signatures in a header. Further signatures follow a comma and a space, and begin with a version."""
    return [part for part in re.split(_SIGNATURE_JOINT, value) if part] if len(value) <= _MAX_FIELD else [value]


def _timestamps_in(value: str) -> list[str]:
    if len(value) > MAX_TIMESTAMP_CHARACTERS:
        return [value]
    parts = [part.strip(OWS) for part in value.split(",", _MAX_VALUES)]
    return parts if all(whole_number(part) for part in parts) else [value]


def read_signature(value: str) -> ParsedSignature | None:
    """Decode the signature in `value`, without surrounding whitespace, or return None. Never raises."""
    if len(value) > MAX_CHARACTERS:
        return None
    match = re.match(_VERSIONS, value)
    prefix = match[0] if match else ""
    decoded = _decode(value[len(prefix) :])
    if decoded is None:
        return None
    digest, deviations = decoded
    return ParsedSignature(digest, (*_prefix_causes(prefix), *deviations))


def unreadable(value: str) -> Cause:
    """Return why `read_signature` cannot read `value`: the digest of another hash, or no digest. Never raises."""
    match = re.match(_VERSIONS, value) if len(value) <= MAX_CHARACTERS else None
    text = value[len(match[0]) :] if match else ""
    size = len(text) // 2 if re.fullmatch(_OTHER_HEX, text) else len(_base64(text.replace("-", "+").replace("_", "/")))
    return causes.wrong_hash(size, _OTHER_HASHES[size]) if size in _OTHER_HASHES else causes.NOT_A_SIGNATURE


def _prefix_causes(prefix: str) -> Iterator[Cause]:
    if not prefix:
        yield causes.PREFIX_MISSING
    elif prefix != _PREFIX:
        yield causes.PREFIX_VERSION


def _decode(text: str) -> tuple[bytes, tuple[Cause, ...]] | None:
    if re.fullmatch(_HEX, text):
        return bytes.fromhex(text), (causes.HEX_ENCODED,)
    standard = text.replace("-", "+").replace("_", "/")
    decoded = _base64(standard)
    if len(decoded) == _DIGEST_BYTES:
        return decoded, tuple(_base64_causes(text, standard, decoded))
    digest = decoded.decode("latin-1")
    if re.fullmatch(_HEX, digest):
        return bytes.fromhex(digest), (causes.HEX_ENCODED,)
    return None


def _base64(text: str) -> bytes:
    """Decode `text` with correct padding. Return empty bytes if it is not base64."""
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
