"""The versioned records of `--json`: one flat dictionary each, described in docs/reference/json-records.md.

A field is only ever added. A change of meaning gets a new number in `schema`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED, Rendering
from port_hook_cli.invocations.models import SIGNATURE_HEADER, TIMESTAMP_HEADER, Delivery, Exchange, Verdict
from port_hook_cli.invocations.snippets import SignedRequest
from port_hook_cli.javascript.values import write_json
from port_hook_cli.listener.policy import Tally
from port_hook_cli.tunnels.report import TunnelReport

EVENT = "port-hook/event/1"
VERDICT = "port-hook/verdict/1"
DELIVERY = "port-hook/delivery/1"
SIGNATURE = "port-hook/signature/1"
RENDERING = "port-hook/rendering/1"


def format_time(epoch_s: float) -> str:
    """Return seconds since the epoch as an RFC 3339 UTC time with milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return the part of a verdict that travels inside other records."""
    return {"status": str(verdict.status), "reading": verdict.reading, "causes": list(verdict.slugs)}


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the record that `verify --json` prints."""
    return {
        "schema": VERDICT,
        **verdict_fields(verdict),
        "age_s": None if verdict.age_s is None else round(verdict.age_s, 3),
        "hint": verdict.hint,
        "details": [{"slug": cause.slug, "words": cause.words, "fix": cause.fix} for cause in verdict.causes],
    }


def delivery_fields(delivery: Delivery | None) -> dict[str, Any] | None:
    """Return the part of a delivery that travels inside other records."""
    if delivery is None:
        return None
    return {
        "url": delivery.url,
        "status": delivery.status,
        "latency_ms": round(delivery.latency_ms, 3),
        "error": delivery.error,
    }


def delivery_record(delivery: Delivery, *, source: str, run_id: str | None) -> dict[str, Any]:
    """Return one send of `replay` as a record."""
    return {
        "schema": DELIVERY,
        "source": source,
        "run_id": run_id,
        **(delivery_fields(delivery) or {}),
    }


def invocation_event(exchange: Exchange) -> dict[str, Any]:
    """Return a captured invocation as the record that `listen --json` prints."""
    invocation, payload = exchange.invocation, exchange.payload
    return {
        "schema": EVENT,
        "type": "invocation",
        "id": invocation.id,
        "received_at": format_time(invocation.received_at),
        "method": invocation.method,
        "path": invocation.target,
        "run_id": payload.run_id,
        "action": payload.action,
        "verdict": verdict_fields(exchange.verdict),
        "answer": None if exchange.answer is None else {"status": exchange.answer.status},
        "delivery": delivery_fields(exchange.delivery),
    }


def signature_record(request: SignedRequest, *, form: str) -> dict[str, Any]:
    """Return a signed request as the record that `sign --format json` prints.

    `body` is None where the bytes are not UTF-8; `body_base64` is None where they are.
    """
    headers = dict(request.headers)
    try:
        body, encoded = request.body.decode("utf-8"), None
    except UnicodeDecodeError:
        body, encoded = None, b64encode(request.body).decode("ascii")
    return {
        "schema": SIGNATURE,
        "signature": headers[SIGNATURE_HEADER],
        "timestamp": headers[TIMESTAMP_HEADER],
        "form": form,
        "body": body,
        "body_base64": encoded,
        "method": request.method,
        "url": request.url,
        "headers": headers,
    }


def ready_event(*, url: str, public_url: str | None) -> dict[str, Any]:
    """Return the first record of `listen --json`: where the listener is reached."""
    return {"schema": EVENT, "type": "ready", "url": url, "public_url": public_url}


def tunnel_event(report: TunnelReport) -> dict[str, Any]:
    """Return a change of the tunnel as the record that `listen --json` prints."""
    return {"schema": EVENT, "type": "tunnel", **_tunnel_fields(report), "previous_url": report.previous_url}


def _tunnel_fields(report: TunnelReport) -> dict[str, Any]:
    latency_ms = None if report.latency_ms is None else round(report.latency_ms, 3)
    return {"state": str(report.state), "url": report.url, "latency_ms": latency_ms, "reason": report.reason or None}


def summary_event(tally: Tally, *, tunnel: TunnelReport | None = None) -> dict[str, Any]:
    """Return the last record of `listen --json`. `waiting` holds at most the latest 1,000 run ids."""
    return {
        "schema": EVENT,
        "type": "summary",
        "received": tally.received,
        "verified": tally.verified,
        "refused": tally.refused,
        "passed_over": tally.passed_over,
        "handler_failures": tally.handler_failures,
        "waiting": list(tally.waiting),
        "tunnel": None if tunnel is None else _tunnel_fields(tunnel),
    }


def rendering_record(rendering: Rendering) -> dict[str, Any]:
    """Return a rendered template as the record that `render --json` prints. `result` is as JSON.stringify has it."""
    return {
        "schema": RENDERING,
        "result": None if rendering.value is UNDEFINED else json.loads(write_json(rendering.value)),
        "undefined": rendering.value is UNDEFINED,
        "errors": [
            {"expression": error.expression.strip(), "kind": error.kind, "message": error.message}
            for error in rendering.errors
        ],
    }
