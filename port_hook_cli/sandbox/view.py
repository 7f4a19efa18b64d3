"""What `sandbox` prints: shell lines that configure a backend, and one line for each call and each step of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from port_hook_cli.text.safe import brief, printable

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
