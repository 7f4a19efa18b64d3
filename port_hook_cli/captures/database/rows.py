"""Convert captures to rows and rows to captures. This module is pure. `capture_row` is on the listener's hot path."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import Any, TypeVar

from port_hook_cli.captures.documents.capture_fields import (
    CAUSE,
    DELIVERY,
    INVOCATION,
    NOT_WHOLE,
    ORIGIN,
    REJECTED_BODY_LIMIT,
    RESPONSE,
    SIMULATED,
    TRUNCATION,
    VERDICT,
    Fields,
    NotACapture,
    Shape,
    read_bytes,
    read_text,
    read_text_or_bytes,
    truncate,
)
from port_hook_cli.invocations.headers import SECRET_HEADERS, SIGNATURE_HEADER, Headers, mask_headers
from port_hook_cli.invocations.models import Capture, Delivery, MessageOrigin, Payload, Response, Simulated, Status
from port_hook_cli.invocations.payload import read_payload

RESPONSE_LIMIT = 64 * 1024

CAPTURE_COLUMNS = (
    "id",
    "received_at",
    "method",
    "target",
    "replay_of",
    "run_id",
    "action",
    "signature",
    "status",
    "signed_form",
    "age_s",
    "is_verified",
    "body_size",
    "body_sha256",
    "kafka",
    "simulated",
    "causes",
    "headers",
    "delivery",
    "response",
    "delivery_body",
    "response_body",
    "body",
)
# `simulated` is in both, because a request is saved before the user responds to it by hand.
OUTCOME_COLUMNS = ("received_at", "id", "simulated", "delivery", "response", "delivery_body", "response_body")
# These are plain strings, because SQLite looks for an adapter for each subclass of `str`.
_PLAIN = {status: str(status.value) for status in Status}
_JSON_COLUMNS = ("kafka", "simulated", "causes", "headers", "delivery", "response")

# The statuses that count as verified when the store is full. --verify off forwards requests as `unchecked`.
_VERIFIED = frozenset({Status.VALID, Status.REENCODED, Status.UNCHECKED})

_large_of_capture = itemgetter(
    *(
        CAPTURE_COLUMNS.index(name)
        for name in (
            "method",
            "target",
            "signature",
            "headers",
            "delivery",
            "response",
            "delivery_body",
            "response_body",
            "body",
        )
    )
)

T = TypeVar("T", Delivery, Response)
Row = tuple[Any, ...]

# All calls share one encoder and one decoder, because `json.dumps` with options builds a new encoder each time.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode
_quote = encode_basestring_ascii


def capture_weight(row: Row) -> int:
    """Return the approximate size of a capture's row in bytes. Only columns that a sender can make large count."""
    return sum(map(len, filter(None, _large_of_capture(row))))  # runs in C, because a listener weighs every row


def outcome_weight(row: Row) -> int:
    """Return the approximate size of an outcome in bytes."""
    return sum(map(len, filter(None, row[2:])))


def capture_row(capture: Capture, *, keep_secrets: bool) -> Row:
    """Return the row for a capture, in the order of CAPTURE_COLUMNS. A rejected request's body is truncated."""
    invocation, payload, verdict = capture.invocation, capture.payload, capture.verdict
    if capture.rejected and len(invocation.body) > REJECTED_BODY_LIMIT:
        invocation = truncate(invocation)
    truncated = invocation.truncated
    method, target, run_id, action, signature = _text_columns(
        invocation.method,
        invocation.target,
        payload.run_id,
        payload.action or payload.name,  # a call of each request costs time
        invocation.headers.get(SIGNATURE_HEADER),
    )
    return (
        invocation.id,
        invocation.received_at,
        method,
        target,
        invocation.replay_of,
        run_id,
        action,
        signature,
        _PLAIN[verdict.status],
        verdict.signed_form,
        verdict.age_s,
        0 if capture.rejected or verdict.status not in _VERIFIED else 1,
        None if truncated is None else truncated.size,
        None if truncated is None else truncated.sha256,
        None if invocation.origin is None else _origin_json(invocation.origin),
        None if capture.simulated is None else _simulated(capture.simulated),
        _encode(list(map(CAUSE.dump, verdict.causes))) if verdict.causes else None,
        _headers_json(_kept_headers(invocation.headers, keep_secrets=keep_secrets)),
        *_outcome(capture, keep_secrets=keep_secrets),
        invocation.body,
    )


def outcome_row(capture: Capture, *, keep_secrets: bool) -> Row:
    """Return the row for a capture's outcome, in the order of OUTCOME_COLUMNS."""
    invocation = capture.invocation
    simulated = None if capture.simulated is None else _simulated(capture.simulated)
    return (invocation.received_at, invocation.id, simulated, *_outcome(capture, keep_secrets=keep_secrets))


def _simulated(simulated: Simulated) -> str:
    return _encode(SIMULATED.dump(simulated))


def read_row(row: Sequence[Any]) -> Capture:
    """Return the capture from a row in the order of CAPTURE_COLUMNS. Raises ValueError for a damaged row.

    Any program may have written the row, so every column is checked.
    """
    columns = dict(zip(CAPTURE_COLUMNS, row, strict=True))
    if math.inf in row:
        reject_large(columns)
    try:
        return _read_columns(columns)
    except (ArithmeticError, RecursionError) as error:
        raise NotACapture(str(error) or type(error).__name__) from error


def reject_large(columns: Fields) -> None:
    """Raise NotACapture if a value is infinity, which `bounded` returns instead of a value that is too large."""
    for name, value in columns.items():
        if value == math.inf and name != "age_s":  # the age of a request can be infinite
            raise NotACapture(f'its "{name}" is larger than any value that port-hook saves')


def _read_columns(columns: dict[str, Any]) -> Capture:
    for name in _JSON_COLUMNS:
        columns[name] = parsed(columns[name], name)
    columns["received_at_s"], columns["details"] = columns["received_at"], columns["causes"]
    invocation = INVOCATION.load(
        columns,
        body=read_bytes(columns["body"], "body"),
        truncated=None if columns["body_size"] is None else TRUNCATION.load(columns),
        origin=ORIGIN.maybe(columns["kafka"], "kafka"),
    )
    run_id, action = (maybe_text(columns[name], name) for name in ("run_id", "action"))
    return Capture(
        invocation=invocation,
        verdict=VERDICT.load(columns),
        payload=(
            Payload(run_id=run_id, problem=NOT_WHOLE)
            if invocation.truncated
            else read_payload(invocation.body, invocation.headers)
        ).called(action),
        delivery=_read_outcome(DELIVERY, columns, "delivery", "delivery_body"),
        response=_read_outcome(
            RESPONSE, columns, "response", "delivery_body" if columns["response_body"] is None else "response_body"
        ),
        simulated=SIMULATED.maybe(columns["simulated"], "simulated"),
    )


def parsed(written: Any, name: str) -> Any:
    """Return the JSON in a column, or None if the column is empty."""
    if written is None:
        return None
    found = _decode(read_text(written, name))
    if found is None:
        raise NotACapture(f'its "{name}" is null')
    return found


def _read_outcome(shape: Shape[T], columns: Fields, name: str, body: str) -> T | None:
    written = columns[name]
    return None if written is None else shape.maybe(written, name, body=read_bytes(columns[body], body))


def parse_origin(written: str) -> MessageOrigin:
    """Return the origin of a message from the `kafka` column. Raises ValueError."""
    try:
        origin = ORIGIN.maybe(json.loads(written), "kafka")
    except RecursionError as error:
        raise NotACapture(str(error)) from error
    if origin is None:
        raise NotACapture('its "kafka" is null')
    return origin


def text_column(value: str | None) -> str | bytes | None:
    """Return `value` in a form that SQLite can store: as bytes if it has lone surrogates, which UTF-8 cannot encode."""
    if value is None or value.isascii():
        return value
    encoded = value.encode("utf-8", "surrogatepass")
    return encoded if _has_surrogates(value) else value


def _text_columns(*values: str | None) -> Sequence[str | bytes | None]:
    """Convert each of `values` with `text_column`."""
    return values if "".join(filter(None, values)).isascii() else [*map(text_column, values)]


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def maybe_text(value: Any, name: str) -> str | None:
    """Return the text in a column, or None if the column is empty."""
    return None if value is None else read_text_or_bytes(value, name)


def _kept_headers(headers: Headers, *, keep_secrets: bool) -> tuple[tuple[str, str], ...]:
    # Most messages contain no credentials, and this check takes only a third of the time that masking takes.
    if keep_secrets or SECRET_HEADERS.isdisjoint(headers.names):
        return headers.items
    return mask_headers(headers).items


def _headers_json(items: tuple[tuple[str, str], ...]) -> str:
    """Encode headers like `_encode`, in half the time."""
    return f"[{','.join([f'[{_quote(name)},{_quote(value)}]' for name, value in items])}]"


def _origin_json(origin: MessageOrigin) -> str:
    """Encode an origin like `_encode(ORIGIN.dump(origin))`, in a fraction of the time."""
    topic, partition, offset, timestamp_ms = origin
    moment = "null" if timestamp_ms is None else timestamp_ms
    return f'{{"topic":{_quote(topic)},"partition":{partition},"offset":{offset},"timestamp_ms":{moment}}}'


def _outcome(capture: Capture, *, keep_secrets: bool) -> tuple[str | None, str | None, bytes | None, bytes | None]:
    """Return the columns of the delivery, the response and their bodies. A body that both share is stored once."""
    delivery, response = capture.delivery, capture.response
    delivered = None if delivery is None else delivery.body[:RESPONSE_LIMIT]
    responded = None if response is None else response.body[:RESPONSE_LIMIT]
    return (
        None if delivery is None else _delivery_json(delivery, keep_secrets=keep_secrets),
        None if response is None else _response_json(response, keep_secrets=keep_secrets),
        delivered,
        None if responded == delivered else responded,
    )


def _delivery_json(delivery: Delivery, *, keep_secrets: bool) -> str:
    return _encode(
        {
            "url": delivery.url,
            "status": delivery.status,
            "latency_ms": delivery.latency_ms,
            "fault": delivery.fault,
            "error": delivery.error,
            "headers": _kept_headers(delivery.headers, keep_secrets=keep_secrets),
        }
    )


def _response_json(response: Response, *, keep_secrets: bool) -> str:
    return _response_text(response.status, _kept_headers(response.headers, keep_secrets=keep_secrets))


# A listener sends few different responses, and their bodies have their own column.
@lru_cache(maxsize=64)
def _response_text(status: int, headers: tuple[tuple[str, str], ...]) -> str:
    return _encode({"status": status, "headers": headers})
