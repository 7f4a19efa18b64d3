"""The versioned records of `--json`, described in docs/reference/json-records.md.

Fields may be added. If a field changes its meaning, `schema` gets a new number.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from port_hook_cli.invocations.models import Delivery, Exchange, MessageOrigin, Simulated, Verdict

EVENT = "port-hook/event/1"
DELIVERY = "port-hook/delivery/1"


def format_time(epoch_s: float) -> str:
    """Return seconds since the epoch as an RFC 3339 UTC time with milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as other records contain it."""
    return {"status": str(verdict.status), "reading": verdict.reading, "causes": list(verdict.slugs)}


def delivery_fields(delivery: Delivery | None) -> dict[str, Any] | None:
    """Return a delivery as other records contain it."""
    if delivery is None:
        return None
    return {
        "url": delivery.url,
        "status": delivery.status,
        "latency_ms": round(delivery.latency_ms, 3),
        "error": delivery.error,
    }


def delivery_record(delivery: Delivery, *, source: str, run_id: str | None) -> dict[str, Any]:
    """Return the record of one request that `replay` sent."""
    return {
        "schema": DELIVERY,
        "source": source,
        "run_id": run_id,
        **(delivery_fields(delivery) or {}),
    }


def invocation_event(exchange: Exchange) -> dict[str, Any]:
    """Return the record of an invocation that `listen --json` prints."""
    return {"schema": EVENT, "type": "invocation", **invocation_fields(exchange)}


def invocation_fields(exchange: Exchange) -> dict[str, Any]:
    """Return the fields of an exchange that the records of the listener and of captures share."""
    invocation, payload = exchange.invocation, exchange.payload
    return {
        "id": invocation.id,
        "received_at": format_time(invocation.received_at),
        "method": invocation.method,
        "path": invocation.target,
        "run_id": payload.run_id,
        "action": payload.action,
        "verdict": verdict_fields(exchange.verdict),
        "answer": None if exchange.response is None else {"status": exchange.response.status},
        "delivery": delivery_fields(exchange.delivery),
        "kafka": origin_fields(invocation.origin),
        "simulated": _simulated_fields(exchange.simulated),
    }


def origin_fields(origin: MessageOrigin | None) -> dict[str, Any] | None:
    """Return where a message was in Kafka as records contain it; None for a request."""
    if origin is None:
        return None
    moment = origin.timestamp_ms
    return {
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "timestamp": None if moment is None else format_time(moment / 1000),
    }


def _simulated_fields(simulated: Simulated | None) -> dict[str, Any] | None:
    if simulated is None:
        return None
    return {"failure": simulated.failure, "dropped": simulated.dropped, "delay_s": round(simulated.delay_s, 3)}
