"""A capture as a portable JSON document, which `export --format capture` writes, and `replay` and `verify` read.

`body_base64` contains the raw body. If the body is UTF-8, `body` contains it as text, for people. A document written by
hand may have only `body`. If both fields are present, they must agree, because port-hook cannot know which one was
edited.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Any, TypeVar

from port_hook_cli.captures.documents.capture_fields import (
    DELIVERY,
    INVOCATION,
    NOT_WHOLE,
    ORIGIN,
    RESPONSE,
    SIMULATED,
    TRUNCATION,
    VERDICT,
    Fields,
    NotACapture,
    Shape,
    read_text,
)
from port_hook_cli.invocations.models import Capture, Delivery, Payload, Response, Status, Truncation, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.view import format_time, invocation_fields, origin_fields
from port_hook_cli.text.secret import Secret

T = TypeVar("T", Delivery, Response)

_PREFIX = "port-hook/capture/"
CAPTURE = f"{_PREFIX}1"

SUMMARY = "port-hook/capture-summary/1"


def is_capture(document: Any) -> bool:
    """Return whether a parsed JSON document declares itself a capture, of any version."""
    schema = document.get("schema") if isinstance(document, dict) else None
    return isinstance(schema, str) and schema.startswith(_PREFIX)


def capture_summary(capture: Capture) -> dict[str, Any]:
    """Return the record that `captures --json` prints for a capture, with the fields of a listener's `invocation`."""
    truncated = _truncation_fields(capture.invocation.truncated)
    return {"schema": SUMMARY, "type": "capture", **invocation_fields(capture), **truncated}


def to_capture(capture: Capture) -> dict[str, Any]:
    """Return a capture as a capture document. `run_id` and `action` are informational and are not read back."""
    invocation, payload, origin = capture.invocation, capture.payload, capture.invocation.origin
    request, verdict = INVOCATION.dump(invocation), VERDICT.dump(capture.verdict)
    details = verdict.pop("details")
    return {
        "schema": CAPTURE,
        "id": request["id"],
        "received_at": format_time(invocation.received_at),
        "received_at_s": request["received_at_s"],
        "replay_of": request["replay_of"],
        "run_id": payload.run_id,
        "action": payload.action,
        "method": request["method"],
        "target": request["target"],
        "headers": request["headers"],
        **_body_fields(invocation.body),
        **_truncation_fields(invocation.truncated),
        "kafka": None if origin is None else {**(origin_fields(origin) or {}), **ORIGIN.dump(origin)},
        "verdict": {**verdict, "causes": list(capture.verdict.slugs), "details": details},
        "delivery": _outcome_fields(DELIVERY, capture.delivery),
        "response": _outcome_fields(RESPONSE, capture.response),
        **({} if capture.simulated is None else {"simulated": SIMULATED.dump(capture.simulated)}),
        **({} if capture.throwaway_secret is None else {"redacted": {"secret": capture.throwaway_secret.reveal()}}),
    }


def read_capture(document: Any) -> Capture:
    """Return the capture from a capture document. Raises only NotACapture.

    Only `schema`, `method` and a body are required, so that users can write a capture by hand.
    """
    if not is_capture(document):
        raise NotACapture(f'it has no "schema": "{CAPTURE}"')
    if document["schema"] != CAPTURE:
        raise NotACapture(
            f"its schema is {document['schema']!r}, but this port-hook reads {CAPTURE}. Upgrade port-hook"
        )
    invocation = INVOCATION.load(
        document,
        body=_body(document),
        truncated=_read_truncation(document),
        origin=ORIGIN.maybe(document.get("kafka"), "kafka"),
    )
    return Capture(
        invocation=invocation,
        verdict=VERDICT.maybe(document.get("verdict"), "verdict") or Verdict(status=Status.UNCHECKED),
        payload=Payload(problem=NOT_WHOLE)
        if invocation.truncated
        else read_payload(invocation.body, invocation.headers),
        delivery=_read_outcome(DELIVERY, document, "delivery"),
        response=_read_outcome(RESPONSE, document, "response" if "response" in document else "answer"),  # its old name
        simulated=SIMULATED.maybe(document.get("simulated"), "simulated"),
        throwaway_secret=_read_throwaway_secret(document.get("redacted")),
    )


def _body_fields(body: bytes) -> dict[str, str]:
    exact = {"body_base64": b64encode(body).decode("ascii")}
    try:
        return {**exact, "body": body.decode("utf-8")}
    except UnicodeDecodeError:
        return exact


def _truncation_fields(truncated: Truncation | None) -> dict[str, Any]:
    """Return the fields that only a capture with a truncated body has."""
    return {} if truncated is None else {"body_truncated": True, **TRUNCATION.dump(truncated)}


def _outcome_fields(shape: Shape[T], outcome: T | None) -> dict[str, Any] | None:
    return None if outcome is None else {**shape.dump(outcome), **_body_fields(outcome.body)}


def _read_outcome(shape: Shape[T], document: Fields, name: str) -> T | None:
    written = document.get(name)
    return shape.maybe(written, name, **({"body": _body(written)} if isinstance(written, dict) else {}))


def _read_throwaway_secret(written: Any) -> Secret | None:
    if written is None:
        return None
    if not isinstance(written, dict):
        raise NotACapture('its "redacted" is not an object')
    return Secret(read_text(written.get("secret"), "secret"))


def _read_truncation(document: Fields) -> Truncation | None:
    is_truncated = document.get("body_truncated")
    if is_truncated is None or is_truncated is False:
        return None
    if is_truncated is not True:
        raise NotACapture('its "body_truncated" is neither true nor false')
    return TRUNCATION.load(document)


def _body(fields: Fields) -> bytes:
    encoded, written = (
        None if fields.get(name) is None else read_text(fields[name], name) for name in ("body_base64", "body")
    )
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
