"""Exchanges to rows and back. Pure; `capture_row` is on the listener's hot path."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from port_hook_cli.core.models import (
    SIGNATURE_HEADER,
    Answer,
    Cause,
    Delivery,
    Exchange,
    Headers,
    Invocation,
    Status,
    Verdict,
)
from port_hook_cli.core.payload import read_payload
from port_hook_cli.core.redaction import SECRET_HEADERS, mask_headers

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
    "body",
)
OUTCOME_COLUMNS = ("received_at", "id", "delivery", "answer", "delivery_body", "answer_body")

_DELIVERY_FIELDS = ("url", "status", "latency_ms", "fault", "error")

Row = tuple[Any, ...]

# One encoder for all: `json.dumps` with options of its own builds a new one at each call.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def capture_row(exchange: Exchange, *, keep_secrets: bool) -> Row:
    """Return the row of an exchange, in the order of CAPTURE_COLUMNS."""
    invocation, payload, verdict = exchange.invocation, exchange.payload, exchange.verdict
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
        invocation.body,
    )


def outcome_row(exchange: Exchange, *, keep_secrets: bool) -> Row:
    """Return what became of an exchange, in the order of OUTCOME_COLUMNS."""
    invocation = exchange.invocation
    return (invocation.received_at, invocation.id, *_outcome(exchange, keep_secrets=keep_secrets))


def read_row(row: Sequence[Any]) -> Exchange:
    """Return the exchange of a row in the order of CAPTURE_COLUMNS; raises ValueError, KeyError or TypeError."""
    fields = dict(zip(CAPTURE_COLUMNS, row, strict=True))
    headers = _read_headers(json.loads(fields["headers"]))
    body = bytes(fields["body"])
    return Exchange(
        invocation=Invocation(
            id=fields["id"],
            received_at=fields["received_at"],
            method=_read_text(fields["method"]),
            target=_read_text(fields["target"]),
            headers=headers,
            body=body,
            replay_of=fields["replay_of"],
        ),
        verdict=Verdict(
            status=Status(fields["status"]),
            reading=fields["reading"],
            causes=tuple(Cause(*cause) for cause in json.loads(fields["causes"] or "[]")),
            age_s=fields["age_s"],
        ),
        payload=read_payload(body, headers),
        delivery=_read_delivery(fields),
        answer=_read_answer(fields),
    )


def text_column(text: str | None) -> str | bytes | None:
    """Return `text` as SQLite can hold it: bytes where it has lone surrogates, which UTF-8 has no place for."""
    if text is None or text.isascii():
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    return encoded if _has_surrogates(text) else text


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _read_text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _kept_headers(headers: Headers, *, keep_secrets: bool) -> tuple[tuple[str, str], ...]:
    # Most messages carry no credential, and to see that costs a third of masking.
    if keep_secrets or SECRET_HEADERS.isdisjoint(headers.names):
        return headers.items
    return mask_headers(headers).items


def _read_headers(pairs: list[list[str]]) -> Headers:
    return Headers(tuple((name, value) for name, value in pairs))


def _causes_json(causes: tuple[Cause, ...]) -> str:
    return _encode([(cause.slug, cause.words, cause.fix) for cause in causes])


def _outcome(exchange: Exchange, *, keep_secrets: bool) -> tuple[str | None, str | None, bytes | None, bytes | None]:
    """Return delivery, answer and their bodies; a body that the answer passes on is not stored twice."""
    delivery, answer = exchange.delivery, exchange.answer
    delivered = None if delivery is None else delivery.body[:RESPONSE_LIMIT]
    answered = None if answer is None else answer.body[:RESPONSE_LIMIT]
    return (
        None if delivery is None else _delivery_json(delivery, keep_secrets=keep_secrets),
        None if answer is None else _answer_json(answer, keep_secrets=keep_secrets),
        delivered,
        None if answered == delivered else answered,
    )


def _delivery_json(delivery: Delivery, *, keep_secrets: bool) -> str:
    kept = {name: getattr(delivery, name) for name in _DELIVERY_FIELDS}
    return _encode({**kept, "headers": _kept_headers(delivery.headers, keep_secrets=keep_secrets)})


def _answer_json(answer: Answer, *, keep_secrets: bool) -> str:
    return _answer_text(answer.status, _kept_headers(answer.headers, keep_secrets=keep_secrets))


# A listener gives few different answers, whose bodies stand in a column of their own.
@lru_cache(maxsize=64)
def _answer_text(status: int, headers: tuple[tuple[str, str], ...]) -> str:
    return _encode({"status": status, "headers": headers})


def _read_delivery(fields: dict[str, Any]) -> Delivery | None:
    if fields["delivery"] is None:
        return None
    kept = json.loads(fields["delivery"])
    return Delivery(**kept | {"headers": _read_headers(kept["headers"]), "body": fields["delivery_body"]})


def _read_answer(fields: dict[str, Any]) -> Answer | None:
    if fields["answer"] is None:
        return None
    kept = json.loads(fields["answer"])
    body = fields["delivery_body"] if fields["answer_body"] is None else fields["answer_body"]
    return Answer(status=kept["status"], headers=_read_headers(kept["headers"]), body=body)
