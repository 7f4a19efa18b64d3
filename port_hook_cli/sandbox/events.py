"""The events of a sandbox, and how `sandbox` prints them: its start, each call, and each step of a run.

At the start, `sandbox` prints shell lines that configure a handler.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.view import format_time
from port_hook_cli.text.safe import brief, printable

SANDBOX = "port-hook/sandbox/1"
EMBEDDED_LIMITS = (
    "The embedded broker is for this machine, and for one consumer in each group: it has no TLS and no "
    "passwords, it forgets its messages when the sandbox ends, and it cannot find messages by time."
)


@frozen(kw_only=True)
class ApiEvent:
    """One call and its response. `at` is in seconds since the epoch. `note` describes what the call did."""

    at: float
    method: str
    path: str
    status: int
    run_id: str | None = None
    note: str = ""

    @property
    def line(self) -> str:
        """The line about the call for a terminal, with the time of day in UTC."""
        suffix = f"  {printable(self.note)}" if self.note else ""
        return f"{_time(self.at)} {printable(self.method)} {printable(self.path)} {self.status}{suffix}"

    @property
    def record(self) -> dict[str, Any]:
        """The record of the call for `sandbox --json`."""
        return {"schema": SANDBOX, "type": "call", **asdict(self), "at": format_time(self.at)}


@frozen(kw_only=True)
class RunEvent:
    """One step of a run that the sandbox started. `at` is in seconds since the epoch."""

    at: float
    run_id: str
    action: str
    status: str
    note: str

    @property
    def line(self) -> str:
        """The line about the step for a terminal, with the time of day in UTC."""
        named = f"{printable(self.run_id)} {brief(self.action, 40)} {printable(self.status)}"
        return f"{_time(self.at)} run {named}  {printable(self.note)}"

    @property
    def record(self) -> dict[str, Any]:
        """The record of the step for `sandbox --json`."""
        return {"schema": SANDBOX, "type": "run", **asdict(self), "at": format_time(self.at)}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def format_exports(url: str, client_id: str, client_secret: str, organization: str | None = None) -> str:
    """Return shell lines that make a handler use the sandbox.

    Handlers read PORT_API_URL or PORT_BASE_URL. Port's agent reads PORT_API_BASE_URL, and PORT_ORG_ID for the name of
    its topic.
    """
    values = {
        "PORT_CLIENT_ID": client_id,
        "PORT_CLIENT_SECRET": client_secret,
        "PORT_API_URL": url,
        "PORT_BASE_URL": url,
        "PORT_API_BASE_URL": url,
        **({} if organization is None else {"PORT_ORG_ID": organization}),
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def kafka_lines(topic: str, brokers: Sequence[str], *, is_embedded: bool) -> Iterator[str]:
    """Yield the lines about the broker and the topic."""
    yield f"Publishing to {printable(topic)} at {printable(', '.join(brokers))}."
    if is_embedded:
        yield EMBEDDED_LIMITS


def sandbox_ready_record(
    url: str, client_id: str, client_secret: str, *, kafka: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the first record of `sandbox --json`. It contains the credentials of the sandbox, and `kafka`."""
    return {
        "schema": SANDBOX,
        "type": "ready",
        "url": url,
        "client_id": client_id,
        "client_secret": client_secret,
        "kafka": kafka,
    }


def kafka_fields(topic: str, brokers: Sequence[str], *, is_embedded: bool) -> dict[str, Any]:
    """Return the fields of the `ready` record that show where the sandbox publishes invocations."""
    return {"brokers": list(brokers), "topic": topic, "embedded": is_embedded}
