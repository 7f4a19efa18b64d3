"""What `sandbox` prints: the lines that point a backend at it, and one line per call and per step of a run."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from port_hook_cli.text.safe import brief, printable


def format_exports(url: str, client_id: str, client_secret: str) -> str:
    """Return shell lines that point a backend at the sandbox; PORT_API_BASE_URL is what Port's agent reads."""
    values = {
        "PORT_CLIENT_ID": client_id,
        "PORT_CLIENT_SECRET": client_secret,
        "PORT_API_URL": url,
        "PORT_API_BASE_URL": url,
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def format_api_event(at: float, method: str, path: str, status: int, note: str) -> str:
    """Return one call on one line; `at` is seconds since the epoch, shown as the time of day in UTC."""
    told = f"  {printable(note)}" if note else ""
    return f"{_time(at)} {printable(method)} {printable(path)} {status}{told}"


def format_run_event(at: float, run_id: str, action: str, status: str, note: str) -> str:
    """Return one step in the life of a run on one line; `at` is seconds since the epoch."""
    return f"{_time(at)} run {printable(run_id)} {brief(action, 40)} {printable(status)}  {printable(note)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
