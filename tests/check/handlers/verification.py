"""Verify a request from Port, correctly or with a common mistake."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

TOLERANCE_S = 300
_MATCHED = 11  # `v1,` and 8 characters
_LENGTH = 47  # `v1,` and the base64 of 32 bytes
_MILLISECONDS_FROM = 100_000_000_000

# Text in quotes, which does not change, or whitespace between the values of JSON.
_TEXT_OR_SPACE = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")|\s+')


class Signed(NamedTuple):
    """What the signature of a request covers, with the key. `timestamp` is the header's text."""

    body: bytes
    timestamp: str
    key: bytes

    @property
    def message(self) -> bytes:
        """The timestamp, a dot and the body."""
        return self.timestamp.encode("latin-1") + b"." + self.body


def documented(signed: Signed) -> str:
    """Return the signature that Port documents."""
    digest = hmac.digest(signed.key, signed.message, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def agent_form(signed: Signed) -> str:
    """Return the execution agent's signature: it signs the JSON without the spaces that it sends."""
    compact = _TEXT_OR_SPACE.sub(lambda found: found[1] or b"", signed.body)
    return documented(signed._replace(body=compact))


Form = Callable[[Signed], str]

# The only form that a handler with this defect accepts.
_WRONG_FORMS: Mapping[str, Form] = {
    "json-dumps": lambda signed: documented(signed._replace(body=json.dumps(json.loads(signed.body)).encode())),
    "valid-agent": documented,
}


def _around(signed: Signed) -> Iterator[str]:
    for seconds in (-1, 1):
        yield documented(signed._replace(timestamp=str(int(signed.timestamp) + seconds)))


# Forms that a handler with this defect accepts in addition.
_MORE_FORMS: Mapping[str, Callable[[Signed], Iterator[str]]] = {
    "empty-secret": lambda signed: iter([documented(signed._replace(key=b""))]),
    "body-only": lambda signed: iter(
        ["v1," + base64.b64encode(hmac.digest(signed.key, signed.body, hashlib.sha256)).decode()]
    ),
    "timestamp-changed": _around,
}


def forms(signed: Signed, defect: str) -> Iterator[str]:
    """Yield the signatures that a handler accepts for a request."""
    if defect in _WRONG_FORMS:
        yield _WRONG_FORMS[defect](signed)
        return
    yield documented(signed)
    yield from _MORE_FORMS[defect](signed) if defect in _MORE_FORMS else ()
    yield agent_form(signed)


def _equal(expected: str, received: str) -> bool:
    return hmac.compare_digest(expected.encode(), received.encode("latin-1"))


def _equal_ascii(expected: str, received: str) -> bool:
    """Raise TypeError for text that is not ASCII."""
    return hmac.compare_digest(expected, received)


_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "prefix": lambda expected, received: len(received) == _LENGTH and expected[:_MATCHED] == received[:_MATCHED],
    "empty-value": lambda expected, received: (
        received.startswith("v1,") and (not received[3:] or _equal(expected, received))
    ),
    "survives-500": _equal_ascii,
}


def _absolute(timestamp: str, now: float) -> float:
    return abs(now - int(timestamp))


# The distance from the clock in seconds, for a handler with this defect.
_AGES: Mapping[str, Callable[[str, float], float]] = {
    "milliseconds": lambda timestamp, now: abs(now - int(timestamp) / 1000),
    "old": lambda timestamp, now: int(timestamp) - now,
    "old-milliseconds": lambda timestamp, now: 0 if int(timestamp) > _MILLISECONDS_FROM else abs(now - int(timestamp)),
    "future": lambda timestamp, now: now - int(timestamp) if int(timestamp) < _MILLISECONDS_FROM else now,
}


def is_fresh(timestamp: str, now: float, defect: str) -> bool:
    """Return whether a timestamp is within five minutes of the clock."""
    return timestamp.isdecimal() and _AGES.get(defect, _absolute)(timestamp, now) <= TOLERANCE_S


def is_signed(
    body: bytes, signature: str | None, timestamp: str | None, key: bytes, *, now: float, defect: str
) -> bool:
    """Return whether a handler with this defect accepts a request."""
    if defect == "verifies-nothing" or (defect == "no-signature" and signature is None):
        return True
    if signature is None or timestamp is None:
        return defect == "no-timestamp" and signature is not None
    if not is_fresh(timestamp, now, defect):
        return False
    equal = _COMPARISONS.get(defect, _equal)
    try:
        return any(equal(form, signature) for form in forms(Signed(body, timestamp, key), defect))
    except (ValueError, RecursionError):  # a form that re-serializes takes JSON only
        return False
