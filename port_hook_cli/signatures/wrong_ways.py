"""The wrong ways of signing that handlers expect, with the most frequent way first.

This is the only table of wrong ways. The search for a handler's mistake sends them, `check` forges requests with its
default secrets, and `verify --signature` compares the signature that the user's code computed with each of them.

The ways come from published handlers, from documentation of other senders, and from settings that change a secret. Each
way creates a request that a handler with this one mistake accepts.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import NamedTuple

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER
from port_hook_cli.signatures.causes import WRONG_SECRET, WRONG_WAY
from port_hook_cli.signatures.signing import SigningKeys, TimestampUnit
from port_hook_cli.signatures.way_rows import (
    FREQUENT,
    OTHERS,
    RARE,
    SERIALIZERS,
    Rewriting,
    Scheme,
    Signed,
    WayRow,
    as_it_is,
    as_port_signs,
)
from port_hook_cli.text.secret import Secret

DEFAULT_SECRETS = ("undefined", "None", "null", "<CLIENT_SECRET>")
"""The texts that programs and Port's examples use in place of a missing secret."""

EXAMPLE_SECRETS = (*DEFAULT_SECRETS, "YOUR_CLIENT_SECRET", "changeme", "secret")
"""`DEFAULT_SECRETS`, and the texts that people set as a secret for a try."""

_EXAMPLE_SLUGS = ("undefined", "none", "null", "placeholder", "your-secret", "changeme", "word")

_TRIMMED_KEY_BYTES = 32
_NO_SECRET = b"a secret that no handler has"


class WrongRequest(NamedTuple):
    """The signature headers of a request, and its body."""

    fields: tuple[tuple[str, str], ...]
    body: bytes


@frozen(kw_only=True)
class WrongWay:
    """One way to sign wrongly.

    `sentence` continues "The handler …", and `fix` tells the user what to change in the handler. `cause` is the slug of
    the cause if the user's code signs in this way.
    """

    slug: str
    sentence: str
    fix: str
    key: bytes = field(repr=False)
    scheme: Scheme = field(default=as_port_signs, repr=False)
    rewriting: Rewriting = field(default=as_it_is, repr=False)
    unit: TimestampUnit = TimestampUnit.SECONDS
    cause: str = WRONG_WAY

    @property
    def changes_body(self) -> bool:
        """Whether the handler changes the body before verifying the signature."""
        return self.rewriting is not as_it_is

    @property
    def rewrites(self) -> bool:
        """Whether the handler changes the body before verifying the signature, and has no other mistake."""
        is_port = self.scheme is as_port_signs and self.unit is TimestampUnit.SECONDS
        return is_port and self.changes_body

    def make(self, body: bytes, now: float) -> WrongRequest:
        """Return the request with `body`, signed in this way at `now` (seconds since the epoch)."""
        return self._request(self.key, body, now)

    def forge(self, body: bytes, now: float) -> WrongRequest:
        """Return the same request as `make`, but signed with a secret that no handler has."""
        return self._request(_NO_SECRET, body, now)

    def _request(self, key: bytes, body: bytes, now: float) -> WrongRequest:
        timestamp = self.unit.stamp(now)
        signature = self._signature(key, timestamp, body)
        return WrongRequest(((SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, timestamp)), body)

    def signature(self, timestamp: str, body: bytes) -> str:
        """Return the signature that code with this mistake computes for a request."""
        return self._signature(self.key, timestamp, body)

    def _signature(self, key: bytes, timestamp: str, body: bytes) -> str:
        return self.scheme(Signed(key, timestamp.encode("utf-8", "surrogatepass"), self.rewriting(body)))


def ports_way(secret: Secret) -> WrongWay:
    """Return the way in which Port signs.

    This way creates valid requests, and forged requests that differ only in the key.
    """
    return WrongWay(slug="valid", sentence="verifies Port's signature", fix="", key=_bytes(secret))


def wrong_ways(keys: SigningKeys) -> tuple[WrongWay, ...]:
    """Return all ways, with the most frequent way first.

    For certain bodies, some are identical: see `distinct_ways`.
    """
    key = _bytes(keys.secret)
    return (
        *_keyed_rows(FREQUENT, key),
        *_wrong_secrets(keys),
        *_keyed_rows(OTHERS, key),
        *_changed_secrets(keys.secret.reveal()),
        *_example_secrets(),
        *_keyed_rows(RARE, key),
        *_keyed_rows(SERIALIZERS, key),
    )


def _keyed_rows(rows: Iterable[WayRow], key: bytes) -> Iterator[WrongWay]:
    return (WrongWay(key=key, **row._asdict()) for row in rows)


def distinct_ways(ways: Iterable[WrongWay], body: bytes, now: float, secret: Secret) -> tuple[WrongWay, ...]:
    """Return the ways whose request with `body` differs from Port's request and from the requests of earlier ways."""
    made = {ports_way(secret).make(body, now): ports_way(secret)}
    for way in ways:
        made.setdefault(way.make(body, now), way)
    return tuple(made.values())[1:]


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")


def _wrong_secrets(keys: SigningKeys) -> Iterator[WrongWay]:
    """Yield the ways with secrets that are not the client secret."""
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


def _example_secrets() -> Iterator[WrongWay]:
    for secret, slug in zip(EXAMPLE_SECRETS, _EXAMPLE_SLUGS, strict=True):
        yield _keyed(
            f"secret-{slug}",
            f"uses `{secret}` as the secret",
            "Set the client secret where the handler runs, and exit at startup if it is not set.",
            secret.encode(),
        )


def _changed_secrets(secret: str) -> Iterator[WrongWay]:
    """Yield the ways with a secret that settings or libraries changed."""
    whole = secret.encode("utf-8", "surrogatepass")
    yield _keyed(
        "secret-trimmed",
        "trims whitespace around the secret",
        "Remove the whitespace from the configured secret.",
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
    return WrongWay(slug=slug, sentence=sentence, fix=fix, key=key, cause=WRONG_SECRET.slug)


def _decoded(secret: str) -> bytes | None:
    """Return the secret decoded from base64, or None if it is not base64. The base64 text may lack padding."""
    try:
        return b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_" if {"-", "_"} & set(secret) else None)
    except (NotBase64, ValueError):
        return None
