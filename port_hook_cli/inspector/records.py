"""What the inspector's API returns about captures, described in docs/reference/inspector-api.md. Pure."""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from itertools import islice
from math import isfinite
from typing import Any

from port_hook_cli.captures.documents.exchange_fields import SIMULATED
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS
from port_hook_cli.captures.index.capture_index import Listed
from port_hook_cli.captures.index.counting import Histogram, Spans
from port_hook_cli.captures.view.exchange import fate_of_stored, simulated_text, what_it_is
from port_hook_cli.invocations.forwarding import relayed_headers
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, TIMESTAMP_HEADER, Headers
from port_hook_cli.invocations.hints import LISTEN_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import (
    Delivery,
    Exchange,
    Kind,
    MessageOrigin,
    Payload,
    Response,
    Simulated,
    Status,
    Verdict,
)
from port_hook_cli.invocations.view import format_time
from port_hook_cli.javascript.paths import short_text
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.view import message_fate
from port_hook_cli.signatures.causes import TIMESTAMP_MALFORMED
from port_hook_cli.signatures.difference import MOST_OF_A_DIFFERENCE, Excerpt, signed_difference
from port_hook_cli.signatures.messages import signed_value
from port_hook_cli.signatures.signing import sign
from port_hook_cli.signatures.view import meaning
from port_hook_cli.text.safe import field_text
from port_hook_cli.text.secret import MASK, Secret

SCHEMA = "port-hook/inspector/1"
NOT_COMPUTED = "The inspector has no client secret, so it cannot compute the signature."

_TEXT_BYTES = 64 * 1024
_HEX_BYTES = 1024
_HEX_WIDTH = 16
_VALUE = 2_000
_MAX_FIELDS = 200
_MAX_CAUSES = 20
# A row shows the first inputs that have a value.
_DIGEST_INPUTS = 4
_DIGEST_SEARCHED = 30
_DIGEST_TEXT = 60
_FIELD = 1_000
_EXPLANATION = 4_000
_LONG_FIELD = 16_000
# A head has at most 256 KiB.
_HEADER_CHARACTERS = 300_000
_SIGNED_TEXT = 400
_MILLISECONDS_FROM = 10**11
_LATEST_S = 2.5e11


def message(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a response's fields with the schema in front."""
    return {"schema": SCHEMA, **fields}


def row_record(listed: Listed) -> dict[str, Any]:
    """Return a capture as a row of the list."""
    exchange = listed.exchange
    invocation, payload, delivery = exchange.invocation, exchange.payload, exchange.delivery
    return {
        "seq": listed.seq,
        "id": invocation.id,
        "received_at": invocation.received_at,
        "method": invocation.method[:_FIELD],
        "target": _cut(invocation.target),
        "kind": str(payload.kind),
        "name": _cut(_name(payload)),
        "run_id": _cut(payload.run_id),
        "user": _cut(payload.user),
        "entity": _cut(payload.entity),
        "inputs": _digest(payload),
        "operation": _cut(payload.operation or payload.event),
        "source": "replay" if invocation.replay_of else "http" if invocation.origin is None else "kafka",
        "message": None if invocation.origin is None else _cut(invocation.origin.name),
        "replay_of": _cut(invocation.replay_of),
        "verdict": str(exchange.verdict.status),
        "causes": [slug[:_FIELD] for slug in exchange.verdict.slugs[:_MAX_CAUSES]],
        "response": None if exchange.response is None else exchange.response.status,
        "handler": None if delivery is None else _handler(delivery),
        "bytes": listed.size,
        "problem": payload.problem,
    }


def capture_record(
    listed: Listed, *, replays: Sequence[Listed], secret: Secret | None, replay_to: str | None
) -> dict[str, Any]:
    """Return one capture in full. The secret computes the expected signature, and is not in the record."""
    exchange = listed.exchange
    invocation, payload = exchange.invocation, exchange.payload
    return message(
        {
            "row": row_record(listed),
            "request": {
                "method": invocation.method[:_FIELD],
                "target": invocation.target[:_LONG_FIELD],
                "headers": _header_list(invocation.headers),
                "body": body_record(invocation.body, size=listed.size, problem=payload.problem),
            },
            "verdict": _verdict(exchange, secret),
            "summary": [[label, _cut(value)] for label, value in _summary(payload, invocation.origin)],
            "inputs": [_input(name[:_FIELD], value) for name, value in list(payload.inputs.items())[:_MAX_FIELDS]],
            "changes": [
                {
                    "path": change.path[:_FIELD],
                    "before": short_text(change.before, _VALUE),
                    "after": short_text(change.after, _VALUE),
                }
                for change in payload.changes[:_MAX_FIELDS]
            ],
            "encrypted": [path[:_FIELD] for path in payload.censored[:_MAX_FIELDS]],
            "delivery": None if exchange.delivery is None else delivery_record(exchange.delivery),
            "response": None if exchange.response is None else response_record(exchange.response, exchange.delivery),
            "hints": _hints(exchange),
            "filters": _filters(payload),
            "simulated": None if exchange.simulated is None else _simulated(exchange.simulated),
            "fate": _fate(exchange),
            "replays": [row_record(replay) for replay in replays],
            "replay_to": replay_to,
            "exports": [row.name for row in EXPORT_FORMATS],
        }
    )


def delivery_record(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with its response's fields and body."""
    return {
        "url": delivery.url[:_LONG_FIELD],
        **_handler(delivery),
        "error": None if delivery.error is None else delivery.error[:_VALUE],
        "headers": _header_list(delivery.headers),
        "body": body_record(delivery.body),
    }


def response_record(response: Response, delivery: Delivery | None) -> dict[str, Any]:
    """Return the response that the sender got, and whether it is the handler's own."""
    return {
        "status": response.status,
        "unchanged": delivery is not None and _is_relayed(delivery, response),
        "headers": _header_list(response.headers),
        "body": body_record(response.body),
    }


def _is_relayed(delivery: Delivery, response: Response) -> bool:
    """Return whether the listener relayed the handler's response unchanged."""
    is_same = (delivery.status, delivery.body) == (response.status, response.body)
    return is_same and relayed_headers(delivery.headers).items == response.headers.items


def body_record(body: bytes, *, size: int | None = None, problem: str | None = None) -> dict[str, Any]:
    """Return the beginning of a body as text, or in hexadecimal if it is not UTF-8; `size` is the whole body's."""
    shown = body[:_TEXT_BYTES]
    text = _text(shown, is_whole=len(shown) == len(body))
    return {
        "bytes": len(body) if size is None else size,
        "kept": len(body),
        "text": text,
        "is_whole": len(shown) == len(body) and size in {None, len(body)},
        "type": "binary" if text is None else "json" if _is_json(body) else "text",
        "hex": None if text is not None else list(_hex_lines(body)),
        "problem": problem,
    }


def spans_record(spans: Spans) -> dict[str, Any]:
    """Return the numbers of all matches."""
    return message({"spans": spans.spans, "count": spans.matches, "complete": spans.is_complete})


def histogram_record(histogram: Histogram) -> dict[str, Any]:
    """Return arrivals over time."""
    return message(
        {
            "from": histogram.since_s,
            "to": histogram.until_s,
            "buckets": [list(bucket) for bucket in histogram.buckets],
            "rejected": list(histogram.rejected),
        }
    )


def _verdict(exchange: Exchange, secret: Secret | None) -> dict[str, Any]:
    verdict: Verdict = exchange.verdict
    parts = _parts(exchange, secret)
    return {
        "status": str(verdict.status),
        "about": _about(verdict, is_same=parts["expected"] is not None and parts["expected"] == parts["received"]),
        "reading": _cut(verdict.reading),
        "age_s": verdict.age_s if verdict.age_s is not None and isfinite(verdict.age_s) else None,
        "causes": [
            {
                "slug": cause.slug[:_FIELD],
                "explanation": cause.explanation[:_EXPLANATION],
                "fix": cause.fix[:_EXPLANATION],
            }
            for cause in verdict.causes[:_MAX_CAUSES]
        ],
        "parts": parts,
        "difference": _difference(exchange, secret),
    }


def _about(verdict: Verdict, *, is_same: bool) -> str:
    """Return what the verdict means. `is_same`: the signature equals the expected signature."""
    if TIMESTAMP_MALFORMED.slug in verdict.slugs:
        covered = " The signature matches anyway." if is_same else ""
        return f"The timestamp is not a whole number.{covered}"
    if verdict.status is Status.INVALID and is_same:
        return "The signature did not match the listener's client secret, but it matches the inspector's."
    text = meaning(verdict)
    return f"{text[0].upper()}{text[1:]}."


def _difference(exchange: Exchange, secret: Secret | None) -> dict[str, Any] | None:
    """Return the first difference between the raw body and the form that the signature matches."""
    invocation, reading = exchange.invocation, exchange.verdict.reading
    if invocation.truncated is not None:
        return None
    timestamp, received = (invocation.headers.get(name) for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER))

    def is_signed(form: bytes) -> bool:
        return secret is not None and timestamp is not None and sign(form, secret, timestamp) == received

    found = signed_difference(invocation.body, invocation.headers, reading, is_signed=is_signed)
    if found is None:
        return None
    return {"offset": found.offset, "raw": _excerpt(found.raw), "signed": _excerpt(found.signed)}


def _excerpt(excerpt: Excerpt) -> dict[str, Any]:
    before, differs, after = excerpt
    start = next((at for at, byte in enumerate(before) if byte & 0xC0 != 0x80), 0)  # noqa: PLR2004 - inside a character
    return {
        "before": _shown(before[start:]),
        "differs": _shown(differs, is_whole=bool(after) or len(differs) < MOST_OF_A_DIFFERENCE),
        "after": _shown(after, is_whole=False),
        "hex": differs[:_HEX_WIDTH].hex(" "),
        "bytes": len(differs),
    }


def _shown(part: bytes, *, is_whole: bool = True) -> str:
    """Return bytes as text, with escapes for bytes that are not UTF-8. A part may end inside a character."""
    return getincrementaldecoder("utf-8")("backslashreplace").decode(part, final=is_whole)


def _fate(exchange: Exchange) -> str | None:
    """Return what ends the run. For a Kafka message, no response does, and a rejected message has no handler."""
    if exchange.invocation.origin is None:
        return fate_of_stored(exchange)
    return message_fate(exchange.payload) or None if exchange.delivery is not None else None


def _parts(exchange: Exchange, secret: Secret | None) -> dict[str, Any]:
    """Return how the signature is computed: timestamp, signed text, received and expected signature."""
    invocation = exchange.invocation
    timestamp = invocation.headers.get(TIMESTAMP_HEADER)
    is_whole = invocation.truncated is None
    note = None if secret is not None else NOT_COMPUTED
    if not is_whole:
        note = "The body was not kept whole, so the signature cannot be computed again."
    body = invocation.body if invocation.origin is None else signed_value(invocation.body)
    signed = f"{timestamp or ''}.".encode("latin-1", "replace") + body
    shown = signed[:_SIGNED_TEXT].decode("utf-8", "replace")
    return {
        "timestamp": _cut(timestamp),
        "timestamp_at": _moment(timestamp),
        "signed_text": shown + ("…" if len(signed) > _SIGNED_TEXT else ""),
        "signed_bytes": len(signed),
        "received": _cut(invocation.headers.get(SIGNATURE_HEADER)),
        "expected": sign(body, secret, timestamp) if secret and timestamp and is_whole else None,
        "note": note,
    }


def _filters(payload: Payload) -> dict[str, str]:
    """Return the filters that match captures with the same facts, without values that are too long."""
    facts = {name: getattr(payload, name) for name in ("action", "user", "entity", "workflow", "node")}
    named = {**facts, "run": payload.run_id}
    return {name: value for name, value in named.items() if value and len(value) <= _FIELD}


def _hints(exchange: Exchange) -> list[str]:
    """Return the hints about a failed delivery that `show` prints."""
    delivery = exchange.delivery
    if delivery is None or delivery.ok:
        return []
    return list(delivery_hints(delivery, LISTEN_OPTIONS, is_message=exchange.is_message))


def _moment(timestamp: str | None) -> float | None:
    """Return the time that a timestamp in seconds or milliseconds names, or None."""
    text = (timestamp or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 15:  # noqa: PLR2004 - more digits are no time
        return None
    value = float(text)
    value = value / 1000 if value >= _MILLISECONDS_FROM else value
    return value if value <= _LATEST_S else None


def _summary(payload: Payload, origin: MessageOrigin | None) -> Iterator[tuple[str, str]]:
    moment = None if origin is None else origin.timestamp_ms
    by = " from ".join(part for part in (payload.user, payload.origin) if part)
    for label, value in (
        ("what", what_it_is(payload)),
        ("message", None if origin is None else origin.name),
        ("message at", None if moment is None else format_time(moment / 1000)),
        ("run", payload.run_id),
        ("by", by),
        ("blueprint", payload.blueprint),
        ("entity", payload.entity),
        ("event", payload.event),
        ("workflow", payload.workflow),
        ("node", payload.node),
        ("workflow run", payload.workflow_run),
        ("sent by", "Port's execution agent" if payload.via_agent else None),
        ("in Port", _run_end(payload, is_message=origin is not None)),
        ("body", payload.problem),
    ):
        if value:
            yield label, value


def _run_end(payload: Payload, *, is_message: bool) -> str | None:
    """Return what ends the run, or None if the payload doesn't show it."""
    if is_message:
        return message_fate(payload).removeprefix("the run ")
    return {True: "ends with the response", False: str(RunFate.WAITS), None: None}[payload.synchronized]


def _input(name: str, value: Any) -> dict[str, Any]:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return {"name": name, "type": kinds.get(type(value), "number"), "text": short_text(value, _VALUE)}


def _digest(payload: Payload) -> list[tuple[str, str]]:
    """Return the names and values of inputs, or of an event's changes. Encrypted inputs are left out."""
    encrypted = {path.rpartition(".")[2] for path in payload.censored}
    pairs = payload.inputs.items() if payload.inputs else ((each.path, each.after) for each in payload.changes)
    found = []
    for name, value in islice(pairs, _DIGEST_SEARCHED):
        if name in encrypted or value is None or value in ("", [], {}):
            continue
        if isinstance(value, str):
            text = value
        else:  # `short_text` accepts any value, but takes ten times as long
            text = str(value) if type(value) is int else short_text(value, _DIGEST_TEXT)
        found.append((_beginning(name), _beginning(text)))
        if len(found) == _DIGEST_INPUTS:
            break
    return found


def _beginning(text: str) -> str:
    return text if len(text) <= _DIGEST_TEXT else f"{text[:_DIGEST_TEXT]}…"


def _simulated(simulated: Simulated) -> dict[str, Any]:
    fields = {**SIMULATED.dump(simulated), "failure": _cut(simulated.failure), "by_hand": simulated.by_hand}
    return {**fields, "text": simulated_text(simulated)}


def _name(payload: Payload) -> str | None:
    if payload.kind is Kind.WORKFLOW_NODE:
        return "/".join(part for part in (payload.workflow, payload.node) if part) or None
    return payload.action


def _handler(delivery: Delivery) -> dict[str, Any]:
    return {"status": delivery.status, "fault": _cut(delivery.fault), "latency_ms": round(delivery.latency_ms, 3)}


def _header_list(headers: Headers) -> list[list[str]]:
    """Return the fields in order, as many as any listener captures."""
    found, size = [], 0
    for name, value in headers:
        size += len(name) + len(value)
        if size > _HEADER_CHARACTERS:
            break
        found.append([name, MASK if value == MASK else field_text(value)])
    return found


def _cut(text: str | None) -> str | None:
    """Return the beginning of a field; no field that a page shows in a line is longer."""
    return text if text is None or len(text) <= _FIELD else f"{text[:_FIELD]}…"


def _text(body: bytes, *, is_whole: bool) -> str | None:
    for cut in range(1 if is_whole else 4):  # the end of a beginning may be in the middle of a character
        try:
            return body[: len(body) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _is_json(body: bytes) -> bool:
    if len(body) > _TEXT_BYTES:
        return body.lstrip()[:1] in {b"{", b"["}
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _hex_lines(body: bytes) -> Iterator[str]:
    for start in range(0, min(len(body), _HEX_BYTES), _HEX_WIDTH):
        part = body[start : start + _HEX_WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)  # noqa: PLR2004 - printable ASCII
        yield f"{start:08x}  {part.hex(' '):<47}  {text}"
