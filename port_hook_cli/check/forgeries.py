"""Requests that a handler should reject: wrongly signed, changed, old, or malformed.

This module is pure.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from port_hook_cli.check.subject import changed_letter
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.signatures.signing import VERSION, TimestampUnit, digest
from port_hook_cli.signatures.wrong_ways import DEFAULT_SECRETS, EXAMPLE_SECRETS

_MINUTES_S = 600.0
_RIGHT = 8


class Signing(NamedTuple):
    """How a probe is signed: the secret, the timestamp unit that the handler accepts, and the time in seconds."""

    secret: str
    unit: TimestampUnit
    now: float

    @property
    def other_unit(self) -> TimestampUnit:
        """The unit that the handler does not expect."""
        seconds, milliseconds = TimestampUnit
        return milliseconds if self.unit is seconds else seconds

    def stamp(self, shift_s: float = 0.0) -> str:
        """Return the timestamp, shifted by `shift_s` seconds."""
        return self.unit.stamp(self.now + shift_s)

    def value(self, body: bytes, stamp: str) -> str:
        """Return the signature of a body at a timestamp."""
        return _encoded(digest(self.secret, stamp, body))


class Forgery(NamedTuple):
    """One forged request and its description, a noun phrase."""

    label: str
    request: Invocation


def with_signature(draft: Invocation, signature: str | None, stamp: str | None) -> Invocation:
    """Return the request with these two headers. None leaves out a header."""
    fields = [(SIGNATURE_HEADER, signature), (TIMESTAMP_HEADER, stamp)]
    present = tuple((name, value) for name, value in fields if value is not None)
    return replace(draft, headers=Headers((*draft.headers, *present)))


def valid(draft: Invocation, signing: Signing, *, shift_s: float = 0.0) -> Invocation:
    """Return the request with Port's signature, and with its timestamp shifted by `shift_s` seconds."""
    stamp = signing.stamp(shift_s)
    return with_signature(draft, signing.value(draft.body, stamp), stamp)


def badly_signed(draft: Invocation, signing: Signing) -> Invocation:
    """Return the request signed with another secret."""
    return valid(draft, signing._replace(secret=f"not {signing.secret}"))


def by_agent(draft: Invocation, signing: Signing) -> Invocation:
    """Return the execution agent's request: the body has spaces, but the signature covers the body without them."""
    document, stamp = json.loads(draft.body), signing.stamp()
    signature = signing.value(json.dumps(document, separators=(",", ":")).encode(), stamp)
    return with_signature(replace(draft, body=json.dumps(document).encode()), signature, stamp)


def in_other_unit(draft: Invocation, signing: Signing, *, shift_s: float = 0.0) -> Invocation:
    """Return the request signed with a timestamp in the other unit."""
    return valid(draft, signing._replace(unit=signing.other_unit), shift_s=shift_s)


def _no_signature(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield Forgery("a request without a signature", with_signature(draft, None, signing.stamp()))
    yield Forgery("a request without a signature or a timestamp", with_signature(draft, None, None))


def _no_timestamp(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    stamp = signing.stamp()
    yield Forgery("a request without a timestamp", with_signature(draft, signing.value(draft.body, stamp), None))


def _other_secret(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield Forgery("a request signed with another secret", badly_signed(draft, signing))


def _empty_secret(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield Forgery("a request signed with an empty secret", valid(draft, signing._replace(secret="")))


def _default_secret(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield from _of_secrets(draft, signing, DEFAULT_SECRETS)


def _of_secrets(draft: Invocation, signing: Signing, secrets: Iterable[str]) -> Iterator[Forgery]:
    for secret in secrets:
        yield Forgery(f"a request signed with `{secret}`", valid(draft, signing._replace(secret=secret)))


def _body_changed(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    changed = changed_letter(draft.body)
    if changed is not None:
        stamp = signing.stamp()
        request = replace(draft, body=changed)
        yield Forgery("a request with a changed body", with_signature(request, signing.value(draft.body, stamp), stamp))


def _timestamp_changed(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    signature = signing.value(draft.body, signing.stamp(-1.0))
    yield Forgery("a request with a changed timestamp", with_signature(draft, signature, signing.stamp()))


def _body_only(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    import hmac

    signature = _encoded(hmac.digest(signing.secret.encode("utf-8", "surrogatepass"), draft.body, "sha256"))
    yield Forgery(
        "a request whose signature does not cover the timestamp", with_signature(draft, signature, signing.stamp())
    )


def _prefix(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    stamp = signing.stamp()
    version, _, mac = signing.value(draft.body, stamp).partition(",")
    # Each letter is replaced with another letter, so that no character after the first eight is correct by chance.
    rest = "".join("A" if letter != "A" else "B" for letter in mac[_RIGHT:-1])
    yield Forgery(
        "a signature of which only the first 8 characters are correct",
        with_signature(draft, f"{version},{mac[:_RIGHT]}{rest}=", stamp),
    )
    yield Forgery("a signature cut after 8 characters", with_signature(draft, f"{version},{mac[:_RIGHT]}", stamp))


def _empty_value(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield Forgery("the signature `v1,`", with_signature(draft, f"{VERSION},", signing.stamp()))


def _old(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield Forgery("a request signed 10 minutes ago", valid(draft, signing, shift_s=-_MINUTES_S))
    unit = "milliseconds" if signing.other_unit is TimestampUnit.MILLISECONDS else "seconds"
    yield Forgery(
        f"a request signed 10 minutes ago with a timestamp in {unit}",
        in_other_unit(draft, signing, shift_s=-_MINUTES_S),
    )


def _future(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    yield Forgery("a request signed 10 minutes ahead", valid(draft, signing, shift_s=_MINUTES_S))


FORGERIES: Mapping[str, Callable[[Invocation, Signing], Iterator[Forgery]]] = {
    "other-secret": _other_secret,
    "empty-secret": _empty_secret,
    "default-secret": _default_secret,
    "body-changed": _body_changed,
    "timestamp-changed": _timestamp_changed,
    "body-only": _body_only,
    "prefix": _prefix,
    "old": _old,
    "future": _future,
    "empty-value": _empty_value,
    "no-timestamp": _no_timestamp,
    "no-signature": _no_signature,
}
"""The requests of each check, in the order in which they are sent. Requests that may crash a handler come last."""


def _wrongly_signed(signature: str) -> Callable[[Invocation, Signing], Invocation]:
    return lambda draft, signing: with_signature(draft, signature, signing.stamp())


def _of_body(body: bytes) -> Callable[[Invocation, Signing], Invocation]:
    return lambda draft, signing: badly_signed(replace(draft, body=body), signing)


MALFORMED: Mapping[str, Callable[[Invocation, Signing], Invocation]] = {
    "the signature `x`": _wrongly_signed("x"),
    "the signature `v1`": _wrongly_signed("v1"),
    "a signature of 5,000 characters": _wrongly_signed("a" * 5_000),
    "the signature `é`": _wrongly_signed("é".encode().decode("latin-1")),
    "a badly signed body that is not UTF-8": _of_body(b'{"text":"\xff\xfe"}'),
    "a badly signed body with 3,000 levels": _of_body(b"[" * 3_000 + b"]" * 3_000),
}
"""Badly signed requests that may crash a handler, by their descriptions."""


def unsigned(draft: Invocation, signing: Signing) -> Iterator[Forgery]:
    """Yield requests that a handler without a secret may accept."""
    yield from _no_signature(draft, signing)
    yield from _empty_secret(draft, signing)
    yield from _of_secrets(draft, signing, EXAMPLE_SECRETS)
    yield from _other_secret(draft, signing)


def _encoded(mac: bytes) -> str:
    return f"{VERSION},{b64encode(mac).decode('ascii')}"
