"""The capture as a portable JSON document: what `show --file` writes, and `replay` and `verify` take.

`body_base64` has the exact body. If the body is UTF-8, `body` has the same as text, for people. A document that is
written by hand may have only `body`. If both are there they must agree, because it is unknown which one was edited.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Any

from port_hook_cli.captures.documents.fields import (
    Fields,
    NotACapture,
    listed,
    maybe_number,
    maybe_status,
    maybe_text,
    read_origin,
    read_simulated,
    section,
    simulated_fields,
    text,
)
from port_hook_cli.captures.documents.truncation import NOT_WHOLE
from port_hook_cli.invocations.models import (
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
from port_hook_cli.invocations.records import format_time, invocation_fields, origin_fields

_PREFIX = "port-hook/capture/"
CAPTURE = f"{_PREFIX}1"

SUMMARY = "port-hook/capture-summary/1"

__all__ = ["CAPTURE", "SUMMARY", "NotACapture", "capture_summary", "is_capture", "read_capture", "to_capture"]


def is_capture(document: Any) -> bool:
    """Return whether a parsed JSON document says that it is a capture, of any version."""
    schema = document.get("schema") if isinstance(document, dict) else None
    return isinstance(schema, str) and schema.startswith(_PREFIX)


def capture_summary(exchange: Exchange) -> dict[str, Any]:
    """Return a capture as the record that `captures --json` prints: the fields of a listener's `invocation`."""
    truncated = _truncation_fields(exchange.invocation.truncated)
    return {"schema": SUMMARY, "type": "capture", **invocation_fields(exchange), **truncated}


def to_capture(exchange: Exchange) -> dict[str, Any]:
    """Return an exchange as a capture document. `run_id` and `action` are for information; they are not read back."""
    invocation, payload = exchange.invocation, exchange.payload
    return {
        "schema": CAPTURE,
        "id": invocation.id,
        "received_at": format_time(invocation.received_at),
        "received_at_s": invocation.received_at,
        "replay_of": invocation.replay_of,
        "run_id": payload.run_id,
        "action": payload.action,
        "method": invocation.method,
        "target": invocation.target,
        "headers": _header_list(invocation.headers),
        **_body_fields(invocation.body),
        **_truncation_fields(invocation.truncated),
        "kafka": _origin_fields(invocation.origin),
        "verdict": _verdict_fields(exchange.verdict),
        "delivery": _delivery_fields(exchange.delivery),
        "answer": _response_fields(exchange.response),
        **({} if exchange.simulated is None else {"simulated": simulated_fields(exchange.simulated)}),
    }


def read_capture(document: Any) -> Exchange:
    """Return the exchange in a capture document; raises NotACapture and nothing else.

    Only `schema`, `method` and a body are required, so that a capture can be written by hand.
    """
    if not is_capture(document):
        raise NotACapture(f'it has no "schema": "{CAPTURE}"')
    if document["schema"] != CAPTURE:
        raise NotACapture(
            f"its schema is {document['schema']!r}, and this port-hook reads {CAPTURE}; upgrade port-hook"
        )
    invocation = _read_invocation(document)
    return Exchange(
        invocation=invocation,
        verdict=_read_verdict(section(document, "verdict")),
        payload=Payload(problem=NOT_WHOLE)
        if invocation.truncated
        else read_payload(invocation.body, invocation.headers),
        delivery=_read_delivery(section(document, "delivery")),
        response=_read_response(section(document, "answer")),
        simulated=read_simulated(section(document, "simulated")),
    )


def _header_list(headers: Headers) -> list[list[str]]:
    return [[name, value] for name, value in headers]


def _body_fields(body: bytes) -> dict[str, str]:
    exact = {"body_base64": b64encode(body).decode("ascii")}
    try:
        return {**exact, "body": body.decode("utf-8")}
    except UnicodeDecodeError:
        return exact


def _truncation_fields(truncated: Truncation | None) -> dict[str, Any]:
    """Return the fields that only a capture with a truncated body has."""
    if truncated is None:
        return {}
    return {"body_truncated": True, "body_size": truncated.size, "body_sha256": truncated.sha256}


def _verdict_fields(verdict: Verdict) -> dict[str, Any]:
    return {
        "status": str(verdict.status),
        "reading": verdict.reading,
        "age_s": verdict.age_s,
        "causes": list(verdict.slugs),
        "details": [{"slug": cause.slug, "words": cause.explanation, "fix": cause.fix} for cause in verdict.causes],
    }


def _delivery_fields(delivery: Delivery | None) -> dict[str, Any] | None:
    if delivery is None:
        return None
    return {
        "url": delivery.url,
        "status": delivery.status,
        "latency_ms": delivery.latency_ms,
        "fault": delivery.fault,
        "error": delivery.error,
        "headers": _header_list(delivery.headers),
        **_body_fields(delivery.body),
    }


def _response_fields(response: Response | None) -> dict[str, Any] | None:
    if response is None:
        return None
    return {"status": response.status, "headers": _header_list(response.headers), **_body_fields(response.body)}


def _read_invocation(document: Fields) -> Invocation:
    return Invocation(
        id=text(document, "id", "-"),
        received_at=_moment(document),
        method=text(document, "method"),
        target=text(document, "target", "/"),
        headers=_headers(document),
        body=_body(document),
        replay_of=maybe_text(document, "replay_of"),
        truncated=_read_truncation(document),
        origin=_read_origin(section(document, "kafka")),
    )


def _origin_fields(origin: MessageOrigin | None) -> dict[str, Any] | None:
    fields = origin_fields(origin)
    return fields if fields is None or origin is None else {**fields, "timestamp_ms": origin.timestamp_ms}


def _read_origin(fields: Fields | None) -> MessageOrigin | None:
    if fields is None:
        return None
    return read_origin(*(fields.get(name) for name in ("topic", "partition", "offset", "timestamp_ms")))


def _read_truncation(document: Fields) -> Truncation | None:
    is_truncated = document.get("body_truncated")
    if is_truncated is None or is_truncated is False:
        return None
    if is_truncated is not True:
        raise NotACapture('its "body_truncated" is neither true nor false')
    size = maybe_number(document, "body_size")
    if size is None:
        raise NotACapture('its body is truncated, and it has no "body_size"')
    return Truncation(size=int(size), sha256=text(document, "body_sha256"))


def _read_verdict(fields: Fields | None) -> Verdict:
    if fields is None:
        return Verdict(status=Status.UNCHECKED)
    status = text(fields, "status")
    if status not in set(Status):
        raise NotACapture(f"its verdict has the unknown status {status!r}")
    return Verdict(
        status=Status(status),
        reading=maybe_text(fields, "reading"),
        causes=tuple(_cause(cause) for cause in listed(fields, "details")),
        age_s=maybe_number(fields, "age_s"),
    )


def _cause(fields: Any) -> Cause:
    if not isinstance(fields, dict):
        raise NotACapture("its verdict's details are not objects")
    return Cause(text(fields, "slug"), text(fields, "words"), text(fields, "fix"))


def _read_delivery(fields: Fields | None) -> Delivery | None:
    if fields is None:
        return None
    return Delivery(
        url=text(fields, "url"),
        status=maybe_status(fields),
        latency_ms=maybe_number(fields, "latency_ms") or 0.0,
        headers=_headers(fields),
        body=_body(fields),
        fault=maybe_text(fields, "fault"),
        error=maybe_text(fields, "error"),
    )


def _read_response(fields: Fields | None) -> Response | None:
    if fields is None:
        return None
    status = maybe_status(fields)
    if status is None:
        raise NotACapture('its answer has no "status"')
    return Response(status=status, headers=_headers(fields), body=_body(fields))


def _moment(document: Fields) -> float:
    """Return `received_at_s`, or 0.0 if it is missing; raises NotACapture for a time that no calendar has."""
    moment = maybe_number(document, "received_at_s") or 0.0
    try:
        format_time(moment)
    except (OverflowError, ValueError, OSError) as error:
        raise NotACapture('its "received_at_s" is not a time') from error
    return moment


def _headers(fields: Fields) -> Headers:
    return Headers(tuple(_header(pair) for pair in listed(fields, "headers")))


def _header(pair: Any) -> tuple[str, str]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):  # noqa: PLR2004
        raise NotACapture('its "headers" are not a list of [name, value]')
    name, value = pair
    try:
        f"{name}{value}".encode("latin-1")
    except UnicodeEncodeError as error:
        raise NotACapture("a header has characters beyond Latin-1; write its UTF-8 bytes as one each") from error
    return name, value


def _body(fields: Fields) -> bytes:
    encoded, written = maybe_text(fields, "body_base64"), maybe_text(fields, "body")
    if encoded is None and written is None:
        raise NotACapture('it has neither "body_base64" nor "body"')
    typed = None if written is None else written.encode("utf-8", "surrogatepass")
    if encoded is None:
        return typed or b""
    try:
        exact = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotACapture('its "body_base64" is not base64') from error
    if typed not in {None, exact}:
        raise NotACapture(
            '"body" and "body_base64" differ: to change a capture, leave the file and use `port-hook replay --set`, '
            'or remove "body_base64"'
        )
    return exact
