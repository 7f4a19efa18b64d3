"""Moments as people type them: `10m`, `2h`, `3d`, or an ISO 8601 time."""

from __future__ import annotations

import re
from datetime import datetime

from port_hook_cli.errors import UsageError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw])", re.ASCII)
_EXAMPLES = "Write how long ago, as 90s, 10m, 2h or 3d, or a time, as 2026-05-01 or 2026-05-01T13:30."


def parse_since(text: str, *, now: float) -> float:
    """Return the moment that `text` names in seconds since the epoch; raises UsageError.

    A duration counts back from `now` (seconds since the epoch). A time without an offset is this machine's local
    time, which is how captures are listed.
    """
    wanted = text.strip()
    duration = _DURATION.fullmatch(wanted)
    if duration is not None:
        return now - float(duration[1]) * _UNITS_S[duration[2]]
    try:
        return datetime.fromisoformat(wanted).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{text!r} is neither a duration nor a time.", hint=_EXAMPLES) from error
