"""What `sandbox` prints: shell lines that configure a backend, and a line or record for each call and step of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from port_hook_cli.invocations.records import format_time
from port_hook_cli.text.safe import brief, printable

SANDBOX = "port-hook/sandbox/1"
EMBEDDED_LIMITS = (
    "The embedded broker is for this machine, and for one consumer in each group: it has no TLS and no "
    "passwords, it forgets its messages when the sandbox ends, and it cannot find messages by time."
)


def format_exports(url: str, client_id: str, client_secret: str, organization: str | None = None) -> str:
    """Return shell lines that make a backend use the sandbox.

    Port's agent reads PORT_API_BASE_URL, and PORT_ORG_ID for the name of its topic.
    """
    values = {
        "PORT_CLIENT_ID": client_id,
        "PORT_CLIENT_SECRET": client_secret,
        "PORT_API_URL": url,
        "PORT_API_BASE_URL": url,
        **({} if organization is None else {"PORT_ORG_ID": organization}),
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def kafka_lines(topic: str, brokers: Sequence[str], *, is_embedded: bool) -> Iterator[str]:
    """Yield the lines about the broker and the topic."""
    yield f"Publishing to {printable(topic)} at {printable(', '.join(brokers))}."
    if is_embedded:
        yield EMBEDDED_LIMITS


def format_api_event(at: float, method: str, path: str, status: int, note: str) -> str:
    """Return the line for one call; `at`, in seconds since the epoch, is shown as the time of day in UTC."""
    suffix = f"  {printable(note)}" if note else ""
    return f"{_time(at)} {printable(method)} {printable(path)} {status}{suffix}"


def format_run_event(at: float, run_id: str, action: str, status: str, note: str) -> str:
    """Return the line for one step of a run; `at` is seconds since the epoch."""
    return f"{_time(at)} run {printable(run_id)} {brief(action, 40)} {printable(status)}  {printable(note)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


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
