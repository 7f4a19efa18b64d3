"""What `sandbox` prints: shell lines that configure a backend, and one line for each call and each step of a run."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from port_hook_cli.text.safe import brief, printable


def format_exports(url: str, client_id: str, client_secret: str) -> str:
    """Return shell lines that make a backend use the sandbox. Port's agent reads PORT_API_BASE_URL."""
    values = {
        "PORT_CLIENT_ID": client_id,
        "PORT_CLIENT_SECRET": client_secret,
        "PORT_API_URL": url,
        "PORT_API_BASE_URL": url,
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def format_api_event(at: float, method: str, path: str, status: int, note: str) -> str:
    """Return the line for one call; `at`, in seconds since the epoch, is shown as the time of day in UTC."""
    suffix = f"  {printable(note)}" if note else ""
    return f"{_time(at)} {printable(method)} {printable(path)} {status}{suffix}"


def format_run_event(at: float, run_id: str, action: str, status: str, note: str) -> str:
    """Return the line for one step of a run; `at` is seconds since the epoch."""
    return f"{_time(at)} run {printable(run_id)} {brief(action, 40)} {printable(status)}  {printable(note)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
