"""The records about captures in the inspector's API, as docs/reference/inspector-api.md describes them.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from port_hook_cli.actions.encryption import LEAST_BYTES, looks_encrypted
from port_hook_cli.captures.browsing.browser import Histogram, Listed, Spans
from port_hook_cli.captures.documents.capture_fields import SIMULATED
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS
from port_hook_cli.captures.view.capture import fate_of_stored
from port_hook_cli.captures.view.parts import simulated_text, what_it_is
from port_hook_cli.inspector.body_records import MAX_FIELD, body_record, cut, header_list
from port_hook_cli.inspector.verdict_records import MAX_CAUSES, verdict_record
from port_hook_cli.invocations.forwarding import relayed_headers
from port_hook_cli.invocations.hints import LISTEN_OPTIONS, delivery_hints
from port_hook_cli.invocations.models import (
    Capture,
    Delivery,
    Invocation,
    Kind,
    MessageOrigin,
    Payload,
    Response,
    Simulated,
)
from port_hook_cli.invocations.payload import is_run_id, is_workflow_run_id
from port_hook_cli.invocations.view import format_time
from port_hook_cli.javascript.paths import short_text
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.view import message_fate
from port_hook_cli.text.secret import MASK, Secret

SCHEMA = "port-hook/inspector/1"

_VALUE = 2_000
_MAX_FIELDS = 200
# A row shows the first inputs that have a value.
_DIGEST_INPUTS = 4
_DIGEST_SEARCHED = 30
_DIGEST_TEXT = 60
# The author of a workflow node chooses the members of its body. The row shows IDs and names in other places.
_OWN_BODIES = frozenset({Kind.WORKFLOW_NODE, Kind.UNKNOWN})
_IDS = frozenset({"nodeRunId", "runId", "run_id", "workflowRun", "workflowRunId"})
_SHOWN_ELSEWHERE = _IDS | {"action", "node", "nodeIdentifier", "workflow", "workflowIdentifier"}
_SEALED = 64
_LONG_FIELD = 16_000


def message(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a response, with the schema first."""
    return {"schema": SCHEMA, **fields}


def row_record(listed: Listed) -> dict[str, Any]:
    """Return a capture as a row of the list."""
    capture = listed.capture
    invocation, payload, delivery = capture.invocation, capture.payload, capture.delivery
    return {
        "seq": listed.seq,
        "id": invocation.id,
        "received_at": invocation.received_at,
        "method": invocation.method[:MAX_FIELD],
        "target": cut(invocation.target),
        "kind": str(payload.kind),
        "name": cut(payload.name),
        "run_id": cut(payload.run_id),
        "user": cut(payload.user),
        "entity": cut(payload.entity),
        "inputs": _digest(payload),
        "operation": cut(payload.operation or payload.event),
        "source": "replay" if invocation.replay_of else "http" if invocation.origin is None else "kafka",
        "message": None if invocation.origin is None else cut(invocation.origin.name),
        "replay_of": cut(invocation.replay_of),
        "verdict": str(capture.verdict.status),
        "causes": [slug[:MAX_FIELD] for slug in capture.verdict.slugs[:MAX_CAUSES]],
        "response": None if capture.response is None else capture.response.status,
        "handler": None if delivery is None else _handler(delivery),
        "manual": capture.simulated is not None and capture.simulated.manual,
        "bytes": listed.size,
        "problem": payload.problem,
    }


def capture_record(
    listed: Listed, *, replays: Sequence[Listed], secret: Secret | None, replay_to: str | None
) -> dict[str, Any]:
    """Return one capture in full. `secret` is used to compute the expected signature, and is not part of the record."""
    capture = listed.capture
    invocation, payload = capture.invocation, capture.payload
    return message(
        {
            "row": row_record(listed),
            "request": {
                "method": invocation.method[:MAX_FIELD],
                "target": invocation.target[:_LONG_FIELD],
                "headers": header_list(invocation.headers),
                "body": body_record(invocation.body, size=listed.size, problem=payload.problem),
            },
            "verdict": verdict_record(capture, secret),
            "summary": [[label, cut(value)] for label, value in _summary(payload, invocation.origin)],
            "inputs": [_input(name[:MAX_FIELD], value) for name, value in list(payload.inputs.items())[:_MAX_FIELDS]],
            "changes": [
                {
                    "path": change.path[:MAX_FIELD],
                    "before": short_text(change.before, _VALUE),
                    "after": short_text(change.after, _VALUE),
                }
                for change in payload.changes[:_MAX_FIELDS]
            ],
            "encrypted": [path[:MAX_FIELD] for path in payload.censored[:_MAX_FIELDS]],
            "delivery": None if capture.delivery is None else delivery_record(capture.delivery),
            "response": None if capture.response is None else response_record(capture.response, capture.delivery),
            "hints": _hints(capture),
            "filters": _filters(payload),
            "simulated": None if capture.simulated is None else _simulated(capture.simulated),
            "fate": _fate(capture),
            "replays": [row_record(replay) for replay in replays],
            "replay_to": replay_to,
            "exports": [row.name for row in EXPORT_FORMATS],
        }
    )


def delivery_record(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with the fields and the body of its response."""
    return {
        "url": delivery.url[:_LONG_FIELD],
        **_handler(delivery),
        "error": None if delivery.error is None else delivery.error[:_VALUE],
        "headers": header_list(delivery.headers),
        "body": body_record(delivery.body),
    }


def sent_record(request: Invocation) -> dict[str, Any]:
    """Return a sent request."""
    return {
        "method": request.method,
        "target": request.target,
        "headers": [list(item) for item in request.headers],
        "body": body_record(request.body),
    }


def response_record(response: Response, delivery: Delivery | None) -> dict[str, Any]:
    """Return the response to the sender, and whether it is the handler's response."""
    return {
        "status": response.status,
        "unchanged": delivery is not None and _is_relayed(delivery, response),
        "headers": header_list(response.headers),
        "body": body_record(response.body),
    }


def _is_relayed(delivery: Delivery, response: Response) -> bool:
    """Return whether the listener relayed the handler's response unchanged."""
    is_same = (delivery.status, delivery.body) == (response.status, response.body)
    return is_same and relayed_headers(delivery.headers).items == response.headers.items


def spans_record(spans: Spans) -> dict[str, Any]:
    """Return the numbers of all captures that match."""
    return message({"spans": spans.spans, "count": spans.matches, "complete": spans.is_complete})


def histogram_record(histogram: Histogram) -> dict[str, Any]:
    """Return the number of captures in each period."""
    return message(
        {
            "from": histogram.since_s,
            "to": histogram.until_s,
            "buckets": [list(bucket) for bucket in histogram.buckets],
            "rejected": list(histogram.rejected),
        }
    )


def _fate(capture: Capture) -> str | None:
    """Return what ends the run.

    No response ends the run of a Kafka message, and a rejected message never reaches a handler.
    """
    if capture.invocation.origin is None:
        return fate_of_stored(capture)
    return message_fate(capture.payload) or None if capture.delivery is not None else None


def _filters(payload: Payload) -> dict[str, str]:
    """Return the filters that select captures with the same facts. Values that are too long are omitted."""
    facts = {name: getattr(payload, name) for name in ("action", "user", "entity", "workflow", "node")}
    named = {**facts, "run": payload.run_id}
    return {name: value for name, value in named.items() if value and len(value) <= MAX_FIELD}


def _hints(capture: Capture) -> list[str]:
    """Return the hints about a failed delivery that `show` prints."""
    delivery = capture.delivery
    if delivery is None or delivery.ok:
        return []
    name = capture.invocation.id
    # A store from someone else may contain any text as an ID.
    source = name if name.isalnum() else "last"
    hints = delivery_hints(delivery, LISTEN_OPTIONS, is_message=capture.is_message, source=source)
    # The hint gets the ID of this capture, because it may not be the latest capture.
    return [hint.replace("replay last", f"replay {source}") for hint in hints]


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
    """Return what ends the run, or None if the payload doesn't show what ends it."""
    if is_message:
        return message_fate(payload).removeprefix("the run ")
    return {True: "ends with the response", False: str(RunFate.WAITS), None: None}[payload.synchronized]


def _input(name: str, value: Any) -> dict[str, Any]:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return {"name": name, "type": kinds.get(type(value), "number"), "text": short_text(value, _VALUE)}


def _digest(payload: Payload) -> list[tuple[str, str]]:
    """Return the names and values that tell invocations apart: inputs, changes of an event, or members of the body.

    Encrypted values are omitted.
    """
    encrypted = {path.rpartition(".")[2] for path in payload.censored}
    found = []
    for name, value in islice(_told_apart_by(payload), _DIGEST_SEARCHED):
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


def _told_apart_by(payload: Payload) -> Iterator[tuple[str, Any]]:
    if payload.inputs:
        yield from payload.inputs.items()
    elif payload.changes:
        yield from ((each.path, each.after) for each in payload.changes)
    elif payload.kind in _OWN_BODIES and isinstance(payload.document, dict):
        for name, value in payload.document.items():  # None counts as a searched member
            yield name, value if name not in _SHOWN_ELSEWHERE and _is_shown(value) else None


def _is_shown(value: Any) -> bool:
    """Return whether a member of a body is a plain value. Run IDs, encrypted values and masked values are not plain."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    if MASK in value[:_SEALED] or is_run_id(value) or is_workflow_run_id(value):
        return False
    # The beginning of an encrypted value also looks encrypted.
    return len(value) <= LEAST_BYTES or not looks_encrypted(value[:_SEALED])


def _beginning(text: str) -> str:
    return text if len(text) <= _DIGEST_TEXT else f"{text[:_DIGEST_TEXT]}…"


def _simulated(simulated: Simulated) -> dict[str, Any]:
    fields = {**SIMULATED.dump(simulated), "failure": cut(simulated.failure), "manual": simulated.manual}
    return {**fields, "text": simulated_text(simulated)}


def _handler(delivery: Delivery) -> dict[str, Any]:
    return {"status": delivery.status, "fault": cut(delivery.fault), "latency_ms": round(delivery.latency_ms, 3)}
