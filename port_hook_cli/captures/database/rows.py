"""Convert exchanges to rows and back. Pure; `capture_row` is on the listener's hot path."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from port_hook_cli.captures.documents.fields import (
    Fields,
    NotACapture,
    maybe_number,
    maybe_text,
    read_origin,
    read_simulated,
    simulated_fields,
    text,
)
from port_hook_cli.captures.documents.truncation import NOT_WHOLE, REFUSED_BODY_LIMIT, truncate
from port_hook_cli.invocations.headers import SECRET_HEADERS, mask_headers
from port_hook_cli.invocations.models import (
    SIGNATURE_HEADER,
    Cause,
    Delivery,
    Exchange,
    Headers,
    Invocation,
    MessageOrigin,
    Payload,
    Response,
    Status,
    Truncation,
    Verdict,
)
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
    "reading",
    "age_s",
    "causes",
    "headers",
    "delivery",
    "answer",
    "delivery_body",
    "answer_body",
    "is_verified",
    "body_size",
    "body_sha256",
    "kafka",
    "simulated",
    "body",
)
OUTCOME_COLUMNS = ("received_at", "id", "delivery", "answer", "delivery_body", "answer_body")

# The latest time (in the year 9892) that has a date in every time zone.
_LATEST_S = 2.5e11

# The statuses that count as verified when a store is full. --no-verify forwards requests as `unchecked`.
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
            "answer",
            "delivery_body",
            "answer_body",
            "body",
        )
    )
)

_DELIVERY_FIELDS = ("url", "status", "latency_ms", "fault", "error")

Row = tuple[Any, ...]

# One encoder for all calls: `json.dumps` with options builds a new one each time.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def capture_weight(row: Row) -> int:
    """Return roughly how many bytes a capture's row has, counting the columns that a sender can make large."""
    return sum(map(len, filter(None, _large_of_capture(row))))  # all of it in C: a listener weighs every row


def outcome_weight(row: Row) -> int:
    """Return roughly how many bytes an outcome has."""
    return sum(map(len, filter(None, row[2:])))


def capture_row(exchange: Exchange, *, keep_secrets: bool) -> Row:
    """Return the row of an exchange, in the order of CAPTURE_COLUMNS; a refused body is truncated."""
    invocation, payload, verdict = exchange.invocation, exchange.payload, exchange.verdict
    if exchange.refused and len(invocation.body) > REFUSED_BODY_LIMIT:
        invocation = truncate(invocation)
    truncated = invocation.truncated
    return (
        invocation.id,
        invocation.received_at,
        text_column(invocation.method),
        text_column(invocation.target),
        invocation.replay_of,
        text_column(payload.run_id),
        text_column(payload.action),
        text_column(invocation.headers.get(SIGNATURE_HEADER)),
        verdict.status.value,  # a plain string: SQLite looks for an adapter for any subclass
        verdict.reading,
        verdict.age_s,
        _causes_json(verdict.causes) if verdict.causes else None,
        _encode(_kept_headers(invocation.headers, keep_secrets=keep_secrets)),
        *_outcome(exchange, keep_secrets=keep_secrets),
        0 if exchange.refused or verdict.status not in _VERIFIED else 1,
        None if truncated is None else truncated.size,
        None if truncated is None else truncated.sha256,
        None if invocation.origin is None else _encode(invocation.origin),
        None if exchange.simulated is None else _encode(simulated_fields(exchange.simulated)),
        invocation.body,
    )


def outcome_row(exchange: Exchange, *, keep_secrets: bool) -> Row:
    """Return the outcome of an exchange, in the order of OUTCOME_COLUMNS."""
    invocation = exchange.invocation
    return (invocation.received_at, invocation.id, *_outcome(exchange, keep_secrets=keep_secrets))


def read_row(row: Sequence[Any]) -> Exchange:
    """Return the exchange of a row in the order of CAPTURE_COLUMNS; raises ValueError for a damaged one.

    Any program may have written the row, so every column is checked.
    """
    fields = dict(zip(CAPTURE_COLUMNS, row, strict=True))
    if math.inf in row:
        _refuse_large(fields)
    try:
        return _read_fields(fields)
    except (KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise NotACapture(str(error) or type(error).__name__) from error


def _refuse_large(fields: Fields) -> None:
    """Raise NotACapture if a value is infinity, which `bounded` returns instead of a value that is too large."""
    for name, value in fields.items():
        if value == math.inf and name != "age_s":  # the age of a request can be infinite
            raise NotACapture(f'its "{name}" is larger than any value that port-hook saves')


def _read_fields(fields: Fields) -> Exchange:
    headers = _read_headers(json.loads(text(fields, "headers")))
    body = _read_bytes(fields, "body")
    truncated = _read_truncation(fields)
    run_id, action = (_read_text(fields, name) for name in ("run_id", "action"))
    return Exchange(
        invocation=Invocation(
            id=text(fields, "id"),
            received_at=_read_moment(fields),
            method=_read_text(fields, "method") or "",
            target=_read_text(fields, "target") or "",
            headers=headers,
            body=body,
            replay_of=_read_text(fields, "replay_of"),
            truncated=truncated,
            origin=_read_origin(fields),
        ),
        verdict=Verdict(
            status=Status(fields["status"]),
            reading=_read_text(fields, "reading"),
            causes=tuple(_read_cause(cause) for cause in json.loads(maybe_text(fields, "causes") or "[]")),
            age_s=_read_age(fields),
        ),
        payload=Payload(run_id=run_id, action=action, problem=NOT_WHOLE) if truncated else read_payload(body, headers),
        delivery=_read_delivery(fields),
        response=_read_response(fields),
        simulated=read_simulated(_read_object(fields, "simulated")),
    )


def _read_moment(fields: Fields) -> float:
    moment = maybe_number(fields, "received_at") or 0.0
    if not 0 <= moment <= _LATEST_S:
        raise NotACapture('its "received_at" is not a time')
    return moment


def _read_status(kept: Fields) -> int | None:
    status = kept["status"]
    if status is not None and (isinstance(status, bool) or not isinstance(status, int) or not 0 <= status <= 999):  # noqa: PLR2004
        raise NotACapture("a status is not a number of three digits")
    return status


def _read_age(fields: Fields) -> float | None:
    age = fields["age_s"]
    if age is not None and not isinstance(age, (int, float)):
        raise NotACapture("its age is not a number")
    return age


def _read_cause(parts: Any) -> Cause:
    slug, words, fix = parts
    if not all(isinstance(part, str) for part in (slug, words, fix)):
        raise NotACapture("its causes are not strings")
    return Cause(slug, words, fix)


def _read_truncation(fields: Fields) -> Truncation | None:
    size, digest = maybe_number(fields, "body_size"), maybe_text(fields, "body_sha256")
    return None if size is None else Truncation(size=int(size), sha256=digest or "")


def _read_origin(fields: Fields) -> MessageOrigin | None:
    written = maybe_text(fields, "kafka")
    return None if written is None else parse_origin(written)


def parse_origin(written: str) -> MessageOrigin:
    """Return where a message was, from the column `kafka`; raises NotACapture."""
    try:
        topic, partition, offset, moment = json.loads(written)
    except (ValueError, TypeError, RecursionError) as error:
        raise NotACapture('its "kafka" is not the place of a message') from error
    return read_origin(topic, partition, offset, moment)


def text_column(value: str | None) -> str | bytes | None:
    """Return `value` as SQLite can hold it: bytes if it has lone surrogates, which UTF-8 cannot encode."""
    if value is None or value.isascii():
        return value
    encoded = value.encode("utf-8", "surrogatepass")
    return encoded if _has_surrogates(value) else value


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _read_text(fields: Fields, name: str) -> str | None:
    value = fields[name]
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else maybe_text(fields, name)


def _read_bytes(fields: Fields, name: str) -> bytes:
    value = fields[name]
    if not isinstance(value, bytes):
        raise NotACapture(f'its "{name}" is missing or not made of bytes')
    return value


def _kept_headers(headers: Headers, *, keep_secrets: bool) -> tuple[tuple[str, str], ...]:
    # Most messages have no credentials, and this check takes a third of the time of masking.
    if keep_secrets or SECRET_HEADERS.isdisjoint(headers.names):
        return headers.items
    return mask_headers(headers).items


def _read_headers(pairs: Any) -> Headers:
    if not isinstance(pairs, list):
        raise NotACapture("its headers are not a list")
    return Headers(tuple(_read_header(pair) for pair in pairs))


def _read_header(pair: Any) -> tuple[str, str]:
    name, value = pair
    if not (isinstance(name, str) and isinstance(value, str)):
        raise NotACapture("its headers are not pairs of strings")
    f"{name}{value}".encode("latin-1")
    return name, value


def _causes_json(causes: tuple[Cause, ...]) -> str:
    return _encode([(cause.slug, cause.explanation, cause.fix) for cause in causes])


def _outcome(exchange: Exchange, *, keep_secrets: bool) -> tuple[str | None, str | None, bytes | None, bytes | None]:
    """Return delivery, response and their bodies; a body that the response shares with the delivery is stored once."""
    delivery, response = exchange.delivery, exchange.response
    delivered = None if delivery is None else delivery.body[:RESPONSE_LIMIT]
    answered = None if response is None else response.body[:RESPONSE_LIMIT]
    return (
        None if delivery is None else _delivery_json(delivery, keep_secrets=keep_secrets),
        None if response is None else _response_json(response, keep_secrets=keep_secrets),
        delivered,
        None if answered == delivered else answered,
    )


def _delivery_json(delivery: Delivery, *, keep_secrets: bool) -> str:
    kept = {name: getattr(delivery, name) for name in _DELIVERY_FIELDS}
    return _encode({**kept, "headers": _kept_headers(delivery.headers, keep_secrets=keep_secrets)})


def _response_json(response: Response, *, keep_secrets: bool) -> str:
    return _response_text(response.status, _kept_headers(response.headers, keep_secrets=keep_secrets))


# A listener sends few different responses, and their bodies have their own column.
@lru_cache(maxsize=64)
def _response_text(status: int, headers: tuple[tuple[str, str], ...]) -> str:
    return _encode({"status": status, "headers": headers})


def _read_delivery(fields: Fields) -> Delivery | None:
    kept = _read_object(fields, "delivery")
    if kept is None:
        return None
    return Delivery(
        url=text(kept, "url"),
        status=_read_status(kept),
        latency_ms=maybe_number(kept, "latency_ms") or 0.0,
        headers=_read_headers(kept["headers"]),
        body=_read_bytes(fields, "delivery_body"),
        fault=maybe_text(kept, "fault"),
        error=maybe_text(kept, "error"),
    )


def _read_response(fields: Fields) -> Response | None:
    kept = _read_object(fields, "answer")
    if kept is None:
        return None
    status = _read_status(kept)
    if status is None:
        raise NotACapture("its answer has no status")
    body = _read_bytes(fields, "delivery_body" if fields["answer_body"] is None else "answer_body")
    return Response(status=status, headers=_read_headers(kept["headers"]), body=body)


def _read_object(fields: Fields, name: str) -> Fields | None:
    """Return the JSON object in a column, or None if the column is empty."""
    written = maybe_text(fields, name)
    if written is None:
        return None
    kept = json.loads(written)
    if not isinstance(kept, dict):
        raise NotACapture(f'its "{name}" is not an object')
    return kept
