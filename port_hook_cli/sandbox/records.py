"""The records of `sandbox --json`, described in docs/reference/json-records.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from port_hook_cli.invocations.records import format_time

SANDBOX = "port-hook/sandbox/1"


def sandbox_ready_record(
    url: str, client_id: str, client_secret: str, *, kafka: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the first record of `sandbox --json`; the credentials are the sandbox's own, `kafka` the topic's."""
    return {
        "schema": SANDBOX,
        "type": "ready",
        "url": url,
        "client_id": client_id,
        "client_secret": client_secret,
        "kafka": kafka,
    }


def kafka_fields(topic: str, brokers: Sequence[str], *, is_embedded: bool) -> dict[str, Any]:
    """Return where the invocations are published, for the `ready` record."""
    return {"brokers": list(brokers), "topic": topic, "embedded": is_embedded}


def sandbox_call_record(
    at: float, method: str, path: str, status: int, *, run_id: str | None, note: str
) -> dict[str, Any]:
    """Return the record of one call and its response; `at` is seconds since the epoch."""
    return {
        "schema": SANDBOX,
        "type": "call",
        "at": format_time(at),
        "method": method,
        "path": path,
        "status": status,
        "run_id": run_id,
        "note": note,
    }


def sandbox_run_record(at: float, run_id: str, action: str, status: str, note: str) -> dict[str, Any]:
    """Return the record of one step of a run that the sandbox started; `at` is seconds since the epoch."""
    return {
        "schema": SANDBOX,
        "type": "run",
        "at": format_time(at),
        "run_id": run_id,
        "action": action,
        "status": status,
        "note": note,
    }
