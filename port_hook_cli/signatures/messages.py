"""The signed part of a Kafka message: its value without the two signature headers inside it.

The value is `{…, "headers": {…, "X-Port-Signature": …, "X-Port-Timestamp": …}}`. Port's execution agent parses the
value, removes the two headers, and verifies what `json.dumps(value, separators=(",", ":"), ensure_ascii=False)` writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from json.encoder import encode_basestring
from typing import Any

from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.models import KAFKA_VALUE, Cause, Verdict
from port_hook_cli.signatures.signing import RAW, headers_in
from port_hook_cli.signatures.verification import (
    DEFAULT_TOLERANCE_S,
    verify_signature,
    verify_without_diagnosis,
)
from port_hook_cli.text.secret import Secret

_RECORD_TIME = Cause(
    "clock-skew",
    "The message's timestamp is after the time of its Kafka record. A message is signed before it is sent, so the "
    "record's time is incorrect, not the sender's clock.",
    "Correct the time that the producer or the broker sets for records. To compare with another time, use "
    "`port-hook verify ID --now SECONDS`.",
)
_SIGNATURE_HEADERS = frozenset({SIGNATURE_HEADER, TIMESTAMP_HEADER})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class _KeyRepeated(ValueError):
    """An object repeats a key, so other parsers may read unverified values."""


def signed_value(value: bytes) -> bytes:
    """Return the part of a message's value that Port signed, or the whole value if it contains no signature.

    Never raises. If the value is compact JSON, only the two headers are cut out, so every other byte is verified.
    Otherwise, the value is serialized again, unless it repeats a key.
    """
    headers = headers_in(value)
    if headers is None:
        return value
    try:
        text = value.decode()
        # Each member is encoded once for both results, because two calls of `_encode` take as long as the HMAC.
        members = {name: f"{encode_basestring(name)}:{_written(field)}" for name, field in headers.items()}
        rest = [member for name, member in members.items() if name.lower() not in _SIGNATURE_HEADERS]
        whole, part = f'"headers":{{{",".join(members.values())}}}', f'"headers":{{{",".join(rest)}}}'
        if text.count(whole) == 1:
            return text.replace(whole, part).encode()
        return _encode(_without_signature(text)).encode()
    except (ValueError, RecursionError):
        return value


def _written(value: Any) -> str:
    """Encode a value like `_encode`, but faster for text."""
    return encode_basestring(value) if type(value) is str else _encode(value)


def _without_signature(text: str) -> Mapping[str, Any]:
    document = json.loads(text, object_pairs_hook=_object)
    headers = document["headers"]
    return {
        **document,
        "headers": {name: field for name, field in headers.items() if name.lower() not in _SIGNATURE_HEADERS},
    }


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise _KeyRepeated
    return found


def of_record(verdict: Verdict) -> Verdict:
    """Return the verdict on a message whose age is relative to the time of its Kafka record.

    A signed time after the record's time is impossible, so the cause is then the record's time.
    """
    if verdict.age_s is None or verdict.age_s > 0:
        return verdict
    found = (_RECORD_TIME if cause.slug == _RECORD_TIME.slug else cause for cause in verdict.causes)
    return replace(verdict, causes=tuple(found))


def verify_received(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    is_message: bool,
    now: float,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    seen: float | None = None,
    others: Sequence[Secret] = (),
) -> Verdict:
    """Return the verdict of `verify_signature` on a request, or on a Kafka message in the same form. Never raises."""
    signed = signed_value(body) if is_message else body
    verdict = verify_signature(headers, signed, secret, now=now, tolerance_s=tolerance_s, seen=seen, others=others)
    return replace(verdict, signed_form=KAFKA_VALUE) if is_message and verdict.signed_form == RAW else verdict


def verify_received_without_diagnosis(
    headers: Headers,
    body: bytes,
    secret: Secret,
    *,
    is_message: bool,
    now: float,
    tolerance_s: float,
    seen: float | None = None,
) -> Verdict | None:
    """Return the verdict of `verify_received`, or None if it needs a diagnosis. Never raises."""
    signed, signed_form = (signed_value(body), KAFKA_VALUE) if is_message else (body, RAW)
    return verify_without_diagnosis(
        headers, signed, secret, now=now, tolerance_s=tolerance_s, seen=seen, signed_form=signed_form
    )
