"""The wrong ways of signing that handlers expect, the most frequent first. Pure.

They come from published handlers, from documentation of other senders, and from settings that change a secret. Each
way makes a request that a handler with this one mistake accepts.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from port_hook_cli.check import serializers
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.signatures.budget import Budget
from port_hook_cli.signatures.causes import SIGNED_TEXT
from port_hook_cli.signatures.forms import serializations
from port_hook_cli.signatures.own_code import RAW_BODY
from port_hook_cli.signatures.signing import VERSION, TimestampUnit
from port_hook_cli.text.secret import Secret

MILLISECONDS = "milliseconds"
"""The slug of the most frequent way. A slug that begins with it and a hyphen combines this mistake with another."""

_AS_PORT = f"{SIGNED_TEXT}, and write base64 after `v1,`."
_SECONDS = "Compare x-port-timestamp with the current time in seconds. Port sends seconds since 1970, not milliseconds."
_TRIMMED_KEY_BYTES = 32
_NO_SECRET = b"a secret that no handler has"


class SigningKeys(NamedTuple):
    """What a handler may use as its secret: `secret` is correct, `client_id` and `other` are mistaken for it.

    `other` is a secret from another place, such as the environment when a sandbox signs, and `other_place` names it.
    """

    secret: Secret
    client_id: str | None = None
    other: Secret | None = None
    other_place: str = ""


class WrongRequest(NamedTuple):
    """The signature headers of a request, and its body."""

    fields: tuple[tuple[str, str], ...]
    body: bytes


class _Signed(NamedTuple):
    """What a scheme signs: the key, the text of the timestamp, and the body."""

    key: bytes
    timestamp: bytes
    body: bytes

    def sha256(self, message: bytes) -> bytes:
        return hmac.digest(self.key, message, "sha256")

    def sha1(self, message: bytes) -> bytes:
        return hmac.digest(self.key, message, "sha1")

    @property
    def with_dot(self) -> bytes:
        return self.sha256(self.timestamp + b"." + self.body)


_Scheme: TypeAlias = Callable[[_Signed], str]
"""Returns the value of `x-port-signature`."""

_Rewriting: TypeAlias = Callable[[bytes], bytes]
"""Returns a body in the form that a handler verifies."""


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode("ascii")


def _as_port_signs(signed: _Signed) -> str:
    return f"{VERSION},{_base64(signed.with_dot)}"


def _as_it_is(body: bytes) -> bytes:
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongWay:
    """One way to sign wrongly.

    `sentence` continues "The handler …", and `fix` says what to change in the handler.
    """

    slug: str
    sentence: str
    fix: str
    key: bytes = field(repr=False)
    scheme: _Scheme = field(default=_as_port_signs, repr=False)
    rewriting: _Rewriting = field(default=_as_it_is, repr=False)
    unit: TimestampUnit = TimestampUnit.SECONDS

    @property
    def rewrites(self) -> bool:
        """Whether the handler serializes the parsed body, and nothing else is wrong."""
        is_port = self.scheme is _as_port_signs and self.unit is TimestampUnit.SECONDS
        return is_port and self.rewriting is not _as_it_is

    def make(self, body: bytes, now: float) -> WrongRequest:
        """Return the request with `body`, signed in this way at `now` (seconds since the epoch)."""
        return self._request(self.key, body, now)

    def forge(self, body: bytes, now: float) -> WrongRequest:
        """Return the same request, signed with a secret that no handler has."""
        return self._request(_NO_SECRET, body, now)

    def _request(self, key: bytes, body: bytes, now: float) -> WrongRequest:
        timestamp = self.unit.stamp(now)
        signature = self.scheme(_Signed(key, timestamp.encode("ascii"), self.rewriting(body)))
        return WrongRequest(((SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, timestamp)), body)


def ports_way(secret: Secret) -> WrongWay:
    """Return the way in which Port signs. It makes valid requests, and forged requests that differ only in the key."""
    return WrongWay(slug="valid", sentence="verifies requests as Port signs them", fix="", key=_bytes(secret))


def wrong_ways(keys: SigningKeys) -> tuple[WrongWay, ...]:
    """Return all ways, the most frequent first. Some sign certain bodies identically: see `distinct_ways`."""
    key = _bytes(keys.secret)
    first, others = _ROWS[:_FREQUENT], _ROWS[_FREQUENT:]
    return (
        *(row.way(key) for row in first),
        *_wrong_secrets(keys),
        *(row.way(key) for row in others),
        *_changed_secrets(keys.secret.reveal()),
        *(row.way(key) for row in _SERIALIZERS),
    )


def distinct_ways(ways: Iterable[WrongWay], body: bytes, now: float, secret: Secret) -> tuple[WrongWay, ...]:
    """Return the ways whose request with `body` differs from Port's request and from the requests of earlier ways."""
    made = {ports_way(secret).make(body, now): ports_way(secret)}
    for way in ways:
        made.setdefault(way.make(body, now), way)
    return tuple(made.values())[1:]


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")


def _serialized(reading: str) -> _Rewriting:
    """Return a function that writes a body like the serializer `reading`, or unchanged if it cannot."""

    def write(body: bytes) -> bytes:
        try:
            found = serializations(body.decode(), Budget())
            return next((each.text.encode() for each in found if each.reading == reading), body)
        except UnicodeError:
            return body

    return write


class _Row(NamedTuple):
    """A way without its key."""

    slug: str
    sentence: str
    fix: str
    scheme: _Scheme = _as_port_signs
    rewriting: _Rewriting = _as_it_is
    unit: TimestampUnit = TimestampUnit.SECONDS

    def way(self, key: bytes) -> WrongWay:
        return WrongWay(
            slug=self.slug,
            sentence=self.sentence,
            fix=self.fix,
            key=key,
            scheme=self.scheme,
            rewriting=self.rewriting,
            unit=self.unit,
        )


def _body_only(slug: str, notation: str, scheme: _Scheme) -> _Row:
    return _Row(slug, f"signs the body without the timestamp, {notation}", _AS_PORT, scheme)


def _notation(slug: str, notation: str, scheme: _Scheme, fix: str) -> _Row:
    return _Row(slug, f"expects the signature {notation}", fix, scheme)


_dumps, _MS = _serialized("python"), TimestampUnit.MILLISECONDS
_BASE64 = "Compute base64 instead of hex, and compare it with the text after `v1,`."
_PREFIX = "Compare with `v1,` + base64, or remove `v1,` from the header first."
_FREQUENT = 6
"""How many rows come before the wrong secrets. Published handlers sign in these ways."""

_ROWS = (
    _Row(MILLISECONDS, "reads the timestamp as milliseconds", _SECONDS, unit=_MS),
    _body_only("body-hex", "in hex", lambda signed: signed.sha256(signed.body).hex()),
    _Row("json-dumps", "verifies `json.dumps(body)` instead of the raw body", RAW_BODY, rewriting=_dumps),
    _Row(
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
    _body_only("body-v1", "in base64 after `v1,`", lambda signed: f"v1,{_base64(signed.sha256(signed.body))}"),
    _body_only("body-v1-hex", "in hex after `v1,`", lambda signed: f"v1,{signed.sha256(signed.body).hex()}"),
    _notation("hex", "in hex, without `v1,`", lambda signed: signed.with_dot.hex(), _BASE64),
    _notation("v1-hex", "in hex after `v1,`", lambda signed: f"v1,{signed.with_dot.hex()}", _BASE64),
    _notation("sha256-hex", "in hex after `sha256=`", lambda signed: f"sha256={signed.with_dot.hex()}", _BASE64),
    _notation("base64", "in base64, without `v1,`", lambda signed: _base64(signed.with_dot), _PREFIX),
    _notation(
        "t-v1",
        "as `t=…,v1=…`, like Stripe",
        lambda signed: f"t={signed.timestamp.decode()},v1={signed.with_dot.hex()}",
        "Read the timestamp from x-port-timestamp, and the signature in base64 after `v1,` from x-port-signature.",
    ),
    _Row(
        "body-hex-json-dumps",
        "signs `json.dumps(body)` without the timestamp, in hex",
        f"{_AS_PORT} {RAW_BODY}",
        lambda signed: signed.sha256(signed.body).hex(),
        _dumps,
    ),
    _Row(
        f"{MILLISECONDS}-body-hex",
        "reads the timestamp as milliseconds, and signs the body without the timestamp, in hex",
        f"{_SECONDS} {_AS_PORT}",
        lambda signed: signed.sha256(signed.body).hex(),
        unit=_MS,
    ),
    _Row(
        "json-stringify",
        "verifies `JSON.stringify(body)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("js"),
    ),
    _Row(
        "json-dumps-compact",
        "verifies `json.dumps(body, separators=(',', ':'))` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("python-compact"),
    ),
    _Row(
        "json-dumps-compact-unescaped",
        "verifies `json.dumps(body, separators=(',', ':'), ensure_ascii=False)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("python-compact-unescaped"),
    ),
    _Row(
        "json-dumps-unescaped",
        "verifies `json.dumps(body, ensure_ascii=False)` instead of the raw body",
        RAW_BODY,
        rewriting=_serialized("python-unescaped"),
    ),
    _Row(
        "without-dot",
        "signs the timestamp and the body without the dot between them",
        _AS_PORT,
        lambda signed: f"v1,{_base64(signed.sha256(signed.timestamp + signed.body))}",
    ),
    _Row(
        "v0",
        "signs `v0:timestamp:body`, like Slack",
        _AS_PORT,
        lambda signed: f"v0={signed.sha256(b'v0:' + signed.timestamp + b':' + signed.body).hex()}",
    ),
    _Row(
        "sha1",
        "uses SHA-1",
        "Use SHA-256 instead of SHA-1.",
        lambda signed: f"v1,{_base64(signed.sha1(signed.timestamp + b'.' + signed.body))}",
    ),
    _Row(
        "sha1-hex",
        "signs the body with SHA-1, in hex",
        f"Use SHA-256 instead of SHA-1. {_AS_PORT}",
        lambda signed: signed.sha1(signed.body).hex(),
    ),
    _Row(
        "sha1-base64",
        "signs the body with SHA-1, in base64",
        f"Use SHA-256 instead of SHA-1. {_AS_PORT}",
        lambda signed: _base64(signed.sha1(signed.body)),
    ),
)


def _serializer(slug: str, call: str, rewriting: _Rewriting, raw_body: str = "") -> _Row:
    fix = f"Verify the raw body before you parse it: {raw_body}." if raw_body else RAW_BODY
    return _Row(slug, f"verifies `{call}` instead of the raw body", fix, rewriting=rewriting)


# Most of them write the plain form identically, so they are tried only if the handler accepts the plain form.
_SERIALIZERS = (
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
)


def _wrong_secrets(keys: SigningKeys) -> Iterator[WrongWay]:
    """Yield the ways with keys other than the secret."""
    if keys.other is not None:
        place = f" from {keys.other_place}" if keys.other_place else ""
        yield _keyed(
            "other-secret",
            f"uses another client secret{place}",
            "Start the handler with the same client secret that signs the requests.",
            _bytes(keys.other),
        )
    yield _keyed(
        "empty-secret",
        "uses an empty secret",
        "Set the client secret where the handler runs, and exit at startup if it is empty.",
        b"",
    )
    if keys.client_id is not None:
        yield _keyed(
            "client-id",
            "uses the client ID as the secret",
            "Use the client secret as the key.",
            keys.client_id.encode("utf-8", "surrogatepass"),
        )


def _changed_secrets(secret: str) -> Iterator[WrongWay]:
    """Yield the ways with a secret that settings or libraries changed."""
    whole = secret.encode("utf-8", "surrogatepass")
    yield _keyed(
        "secret-trimmed",
        "trims white space around the secret",
        "Remove the white space from the configured secret.",
        secret.strip().encode("utf-8", "surrogatepass"),
    )
    yield _keyed(
        "secret-quoted",
        "uses the secret with quotation marks around it",
        "Remove the quotation marks from the setting. Docker's `--env-file`, for example, doesn't remove them.",
        b'"' + whole + b'"',
    )
    yield _keyed(
        "secret-with-line-break",
        "uses the secret with a line break at its end",
        "Trim the secret when the handler reads it.",
        whole + b"\n",
    )
    if (decoded := _decoded(secret)) is not None:
        yield _keyed(
            "secret-decoded",
            "decodes the secret from base64",
            "Use the text of the secret as the key, without decoding.",
            decoded,
        )
    yield _keyed(
        "secret-cut",
        f"uses only the first {_TRIMMED_KEY_BYTES} bytes of the secret",
        "Use the whole secret.",
        whole[:_TRIMMED_KEY_BYTES],
    )


def _keyed(slug: str, sentence: str, fix: str, key: bytes) -> WrongWay:
    return WrongWay(slug=slug, sentence=sentence, fix=fix, key=key)


def _decoded(secret: str) -> bytes | None:
    """Return the secret decoded from base64, or None if it is not base64. Padding may be missing."""
    try:
        return b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_" if {"-", "_"} & set(secret) else None)
    except (NotBase64, ValueError):
        return None
