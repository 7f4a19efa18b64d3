"""The rows of the table of wrong ways: what each way signs, in which notation, and how to describe it."""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from port_hook_cli.signatures import serializers
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.causes import RAW_BODY, SIGNED_TEXT
from port_hook_cli.signatures.forms import serializations
from port_hook_cli.signatures.signing import VERSION, TimestampUnit

MILLISECONDS = "milliseconds"
"""The slug of the most frequent way. A slug that begins with it and a hyphen combines this mistake with another."""

_AS_PORT = f"{SIGNED_TEXT}, and write base64 after `v1,`."
_SECONDS = "Compare x-port-timestamp with the current time in seconds. Port sends seconds since 1970, not milliseconds."


class Signed(NamedTuple):
    """The values that a scheme signs: the key, the text of the timestamp, and the body."""

    key: bytes
    timestamp: bytes
    body: bytes

    def sha256(self, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of a message."""
        return hmac.digest(self.key, message, "sha256")

    def sha1(self, message: bytes) -> bytes:
        """Return the HMAC-SHA-1 of a message."""
        return hmac.digest(self.key, message, "sha1")

    def sha512(self, message: bytes) -> bytes:
        """Return the HMAC-SHA-512 of a message."""
        return hmac.digest(self.key, message, "sha512")

    @property
    def message(self) -> bytes:
        """The message that Port signs."""
        return self.timestamp + b"." + self.body

    @property
    def with_dot(self) -> bytes:
        """The HMAC-SHA-256 of the message that Port signs."""
        return self.sha256(self.message)


Scheme: TypeAlias = Callable[[Signed], str]
"""A function that returns the value of `x-port-signature`."""

Rewriting: TypeAlias = Callable[[bytes], bytes]
"""A function that returns a body in the form that a handler verifies."""


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode("ascii")


def _urlsafe(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode("ascii")


def as_port_signs(signed: Signed) -> str:
    """Return the signature that Port sends."""
    return f"{VERSION},{_base64(signed.with_dot)}"


def as_it_is(body: bytes) -> bytes:
    """Return the raw body."""
    return body


def _serialized(serializer: str) -> Rewriting:
    """Return a function that writes a body like `serializer`, or unchanged if the serializer cannot write the body."""

    def write(body: bytes) -> bytes:
        try:
            found = serializations(body.decode(), Budget())
            return next((each.text.encode() for each in found if each.name == serializer), body)
        except UnicodeError:
            return body

    return write


class WayRow(NamedTuple):
    """A wrong way without its key."""

    slug: str
    sentence: str
    fix: str
    scheme: Scheme = as_port_signs
    rewriting: Rewriting = as_it_is
    unit: TimestampUnit = TimestampUnit.SECONDS


def _body_only(slug: str, notation: str, scheme: Scheme) -> WayRow:
    return WayRow(slug, f"signs the body without the timestamp, {notation}", _AS_PORT, scheme)


def _notation(slug: str, notation: str, scheme: Scheme, fix: str) -> WayRow:
    return WayRow(slug, f"expects the signature {notation}", fix, scheme)


def _layout(slug: str, signs: str, message: Callable[[Signed], bytes], fix: str = _AS_PORT) -> WayRow:
    """Return a way that signs another message than Port, but in Port's notation."""
    return WayRow(slug, signs, fix, lambda signed: f"{VERSION},{_base64(signed.sha256(message(signed)))}")


def _instead(slug: str, what: str, body: bytes, fix: str) -> WayRow:
    """Return a way that signs the same text `body` for every request."""
    return _layout(slug, f"verifies {what} instead of the raw body", lambda signed: signed.timestamp + b"." + body, fix)


_dumps, _MS = _serialized("python"), TimestampUnit.MILLISECONDS
_BASE64 = "Compute base64 instead of hex, and compare it with the text after `v1,`."
_READ_ONCE = f"Read the raw body once, before anything else reads the stream. {RAW_BODY}"
BYTES = "Sign the body's bytes, without decoding them."
_STANDARD = "Use the standard alphabet and padding of base64."
_SHA_256 = "Use SHA-256 instead of"
_PREFIX = "Compare with `v1,` + base64, or remove `v1,` from the header first."
FREQUENT = (
    WayRow(MILLISECONDS, "reads the timestamp as milliseconds", _SECONDS, unit=_MS),
    _body_only("body-hex", "in hex", lambda signed: signed.sha256(signed.body).hex()),
    WayRow("json-dumps", "verifies `json.dumps(body)` instead of the raw body", RAW_BODY, rewriting=_dumps),
    WayRow(
        f"{MILLISECONDS}-json-dumps",
        "reads the timestamp as milliseconds, and verifies `json.dumps(body)` instead of the raw body",
        f"{_SECONDS} {RAW_BODY}",
        rewriting=_dumps,
        unit=_MS,
    ),
    _body_only(
        "body-sha256-hex", "in hex after `sha256=`", lambda signed: f"sha256={signed.sha256(signed.body).hex()}"
    ),
    _body_only("body-base64", "in base64 without `v1,`", lambda signed: _base64(signed.sha256(signed.body))),
)
"""The ways to try before the wrong secrets. Published handlers sign in these ways."""

OTHERS = (
    _body_only("body-v1", "in base64 after `v1,`", lambda signed: f"v1,{_base64(signed.sha256(signed.body))}"),
    _body_only("body-v1-hex", "in hex after `v1,`", lambda signed: f"v1,{signed.sha256(signed.body).hex()}"),
    _layout(
        "bytes-repr",
        "signs `b'...'`, the text that Python writes for bytes, instead of the raw body",
        lambda signed: signed.timestamp + b"." + repr(signed.body).encode(),
        "Concatenate bytes: `timestamp.encode() + b'.' + body`, not `f'{timestamp}.{body}'`.",
    ),
    WayRow(
        "python-dict",
        "verifies `str(body)` of the parsed body instead of the raw body",
        RAW_BODY,
        rewriting=serializers.python_text,
    ),
    _instead("empty-body", "an empty body", b"", _READ_ONCE),
    _instead("object-object", "`[object Object]`, the text of a parsed body,", b"[object Object]", RAW_BODY),
    _instead("empty-object", "`{}`", b"{}", RAW_BODY),
    _instead("undefined", "`undefined`, the text of an unread body,", b"undefined", RAW_BODY),
    _notation("hex", "in hex, without `v1,`", lambda signed: signed.with_dot.hex(), _BASE64),
    _notation("v1-hex", "in hex after `v1,`", lambda signed: f"v1,{signed.with_dot.hex()}", _BASE64),
    _notation("sha256-hex", "in hex after `sha256=`", lambda signed: f"sha256={signed.with_dot.hex()}", _BASE64),
    _notation("base64", "in base64, without `v1,`", lambda signed: _base64(signed.with_dot), _PREFIX),
    WayRow(
        f"{MILLISECONDS}-body-hex",
        "reads the timestamp as milliseconds, and signs the body without the timestamp, in hex",
        f"{_SECONDS} {_AS_PORT}",
        lambda signed: signed.sha256(signed.body).hex(),
        unit=_MS,
    ),
    WayRow(
        "json-stringify",
        "verifies `JSON.stringify(body)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("js"),
    ),
    WayRow(
        "json-dumps-compact",
        "verifies `json.dumps(body, separators=(',', ':'))` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("python-compact"),
    ),
    WayRow(
        "json-dumps-compact-unescaped",
        "verifies `json.dumps(body, separators=(',', ':'), ensure_ascii=False)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("python-compact-unescaped"),
    ),
    WayRow(
        "json-dumps-unescaped",
        "verifies `json.dumps(body, ensure_ascii=False)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("python-unescaped"),
    ),
    WayRow(
        "without-dot",
        "signs the timestamp and the body without the dot between them",
        _AS_PORT,
        lambda signed: f"v1,{_base64(signed.sha256(signed.timestamp + signed.body))}",
    ),
)


def _separator(name: str, noun: str, separator: bytes) -> WayRow:
    return _layout(
        f"wrong-separator-{name}",
        f"signs {noun} between the timestamp and the body instead of a dot",
        lambda signed: signed.timestamp + separator + signed.body,
    )


RARE = (
    _notation(
        "t-v1",
        "as `t=…,v1=…`, like Stripe",
        lambda signed: f"t={signed.timestamp.decode()},v1={signed.with_dot.hex()}",
        "Read the timestamp from x-port-timestamp, and the signature in base64 after `v1,` from x-port-signature.",
    ),
    WayRow(
        "body-hex-json-dumps",
        "signs `json.dumps(body)` without the timestamp, in hex",
        f"{_AS_PORT} {RAW_BODY}",
        lambda signed: signed.sha256(signed.body).hex(),
        _dumps,
    ),
    WayRow(
        "v0",
        "signs `v0:timestamp:body`, like Slack",
        _AS_PORT,
        lambda signed: f"v0={signed.sha256(b'v0:' + signed.timestamp + b':' + signed.body).hex()}",
    ),
    WayRow(
        "sha1",
        "uses SHA-1",
        "Use SHA-256 instead of SHA-1.",
        lambda signed: f"v1,{_base64(signed.sha1(signed.timestamp + b'.' + signed.body))}",
    ),
    WayRow(
        "sha1-hex",
        "signs the body with SHA-1, in hex",
        f"Use SHA-256 instead of SHA-1. {_AS_PORT}",
        lambda signed: signed.sha1(signed.body).hex(),
    ),
    WayRow(
        "sha1-base64",
        "signs the body with SHA-1, in base64",
        f"Use SHA-256 instead of SHA-1. {_AS_PORT}",
        lambda signed: _base64(signed.sha1(signed.body)),
    ),
    WayRow(
        "sha1-v1",
        "signs the body with SHA-1, in base64 after `v1,`",
        f"Use SHA-256 instead of SHA-1. {_AS_PORT}",
        lambda signed: f"{VERSION},{_base64(signed.sha1(signed.body))}",
    ),
    WayRow(
        "sha1-prefix",
        "signs the body with SHA-1, in hex after `sha1=`",
        f"Use SHA-256 instead of SHA-1. {_AS_PORT}",
        lambda signed: f"sha1={signed.sha1(signed.body).hex()}",
    ),
    WayRow(
        "json-stringify-indented",
        "verifies `JSON.stringify(body, null, 2)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("js-indented-2"),
    ),
    _layout(
        "timestamp-after-body",
        "signs the body, a dot and then the timestamp",
        lambda signed: signed.body + b"." + signed.timestamp,
    ),
    _layout(
        "timestamp-after-body-without-dot",
        "signs the body and then the timestamp, without a dot between them",
        lambda signed: signed.body + signed.timestamp,
    ),
    _separator("line-break", "a line break", b"\n"),
    _separator("colon", "a colon", b":"),
    _separator("comma", "a comma", b","),
    _notation(
        "base64-urlsafe",
        "in the URL-safe alphabet of base64",
        lambda signed: f"{VERSION},{_urlsafe(signed.with_dot)}",
        _STANDARD,
    ),
    _notation(
        "base64-urlsafe-padding",
        "in the URL-safe alphabet of base64, without padding",
        lambda signed: f"{VERSION},{_urlsafe(signed.with_dot).rstrip('=')}",
        _STANDARD,
    ),
    _notation(
        "base64-padding",
        "in base64 without padding",
        lambda signed: f"{VERSION},{_base64(signed.with_dot).rstrip('=')}",
        "Keep the `=` at the end of the base64.",
    ),
    _notation(
        "base64-of-hex",
        "in base64 of the hex digest",
        lambda signed: f"{VERSION},{_base64(signed.with_dot.hex().encode())}",
        "Encode the 32 bytes of the digest in base64: use digest() instead of hexdigest().",
    ),
    WayRow(
        "wrong-hash-sha512",
        "uses SHA-512",
        f"{_SHA_256} SHA-512.",
        lambda signed: f"{VERSION},{_base64(signed.sha512(signed.message))}",
    ),
    WayRow(
        "wrong-hash-sha512-hex",
        "uses SHA-512, and expects the signature in hex",
        f"{_SHA_256} SHA-512. {_BASE64}",
        lambda signed: signed.sha512(signed.message).hex(),
    ),
    WayRow(
        "wrong-hash-sha1-hex",
        "uses SHA-1, and expects the signature in hex",
        f"{_SHA_256} SHA-1. {_BASE64}",
        lambda signed: signed.sha1(signed.message).hex(),
    ),
    WayRow(
        "wrong-hash-sha1-base64",
        "uses SHA-1, and expects the signature in base64 without `v1,`",
        f"{_SHA_256} SHA-1. {_PREFIX}",
        lambda signed: _base64(signed.sha1(signed.message)),
    ),
    WayRow(
        "wrong-hash-sha512-body-hex",
        "signs the body with SHA-512, in hex",
        f"{_SHA_256} SHA-512. {_AS_PORT}",
        lambda signed: signed.sha512(signed.body).hex(),
    ),
    WayRow(
        "swapped-key",
        "uses the message as the key, and the secret as the message",
        "Pass the secret as the first argument of HMAC, and timestamp + '.' + raw body as the message.",
        lambda signed: f"{VERSION},{_base64(hmac.digest(signed.message, signed.key, 'sha256'))}",
    ),
)
"""The ways that are less frequent than a changed secret."""


def _serializer(slug: str, call: str, rewriting: Rewriting, raw_body: str = "") -> WayRow:
    fix = f"Verify the raw body before you parse it: {raw_body}." if raw_body else RAW_BODY
    return WayRow(slug, f"verifies `{call}` instead of the raw body", fix, rewriting=rewriting)


# Most serializers write the plain form identically, so they are tried only if the handler accepts the plain form.
SERIALIZERS = (
    WayRow(
        "body-latin-1",
        "decodes the body in a single-byte character set, such as Latin-1, before it verifies the signature",
        f"{BYTES} {RAW_BODY}",
        rewriting=serializers.mojibake,
    ),
    WayRow(
        "json-dumps-indented",
        "verifies `json.dumps(body, indent=2)` instead of the raw body",
        RAW_BODY,
        rewriting=serializers.indented_python,
    ),
    _serializer("json-dumps-sorted", "json.dumps(body, sort_keys=True)", serializers.sorted_python),
    _serializer(
        "json-dumps-compact-sorted",
        "json.dumps(body, sort_keys=True, separators=(',', ':'))",
        serializers.compact_sorted_python,
    ),
    _serializer("go", "json.Marshal(body)", serializers.go, "`io.ReadAll(request.Body)` in Go"),
    _serializer(
        "ruby", "body.to_json", serializers.ruby, "`request.raw_post` in Rails, `request.body.read` in Sinatra"
    ),
    _serializer("php", "json_encode($body)", serializers.php, "`file_get_contents('php://input')` in PHP"),
    WayRow(
        "body-ascii",
        "removes non-ASCII text from the body before it verifies the signature",
        f"{BYTES} {RAW_BODY}",
        rewriting=serializers.ascii_only,
    ),
)
