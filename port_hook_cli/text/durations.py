"""Durations and latencies as text, and the times that users type: `10m`, `2h`, `yesterday`, or an ISO 8601 time."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from port_hook_cli.errors import UsageError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = r"(?a)(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw])"
_EXAMPLES = "Write a duration such as 90s, 10m, 2h or 3d, `today`, `yesterday`, or a time such as 2026-05-01T13:30."
_DAYS_AGO = {"today": 0, "yesterday": 1}

_MINUTE_S, _HOUR_S, _DAY_S = _UNITS_S["m"], _UNITS_S["h"], _UNITS_S["d"]
_YEAR_S = 31_557_600
_TENTHS_BELOW_S = 10
_SECONDS_BELOW_S = 2 * _MINUTE_S
# Durations below each number of seconds are shown in the two units next to it.
_TWO_UNITS = (
    (_HOUR_S, (_MINUTE_S, "min"), (1, "s")),
    (_DAY_S, (_HOUR_S, "h"), (_MINUTE_S, "min")),
    (2 * _YEAR_S, (_DAY_S, "d"), (_HOUR_S, "h")),
)
_MS_PER_S = 1000


def format_duration(duration_s: float) -> str:
    """Return a nonnegative duration in seconds as text such as `0.2 s`, `12 s`, `5 min 3 s`, `13 d 4 h` or `53 years`.

    The duration is rounded down. A second unit that would be zero is left out. An infinite duration is `infinitely
    long`.
    """
    if not math.isfinite(duration_s):
        return "infinitely long"
    if duration_s < _TENTHS_BELOW_S:
        return f"{math.floor(duration_s * 10) / 10:g} s"
    seconds = int(duration_s)
    if seconds < _SECONDS_BELOW_S:
        return f"{seconds} s"
    for limit_s, (larger_s, larger), (smaller_s, smaller) in _TWO_UNITS:
        if seconds < limit_s:
            rest = seconds % larger_s // smaller_s
            return f"{seconds // larger_s} {larger}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds // _YEAR_S:,} years"


def format_latency(latency_ms: float) -> str:
    """Return a latency in milliseconds as text such as `3.1 ms`. From one second up, `format_duration` formats it."""
    return f"{latency_ms:.1f} ms" if latency_ms < _MS_PER_S else format_duration(latency_ms / _MS_PER_S)


def parse_since(text: str, *, now: float) -> float:
    """Return the time that `text` describes, in seconds since the epoch. Raises UsageError.

    A duration counts back from `now` (seconds since the epoch). A time without an offset is in the local time zone,
    like the times in a list of captures. A day means its beginning.
    """
    wanted = text.strip()
    if (days := _DAYS_AGO.get(wanted)) is not None:
        midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006
        return (midnight - timedelta(days=days)).timestamp()
    duration = re.fullmatch(_DURATION, wanted)
    if duration is not None:
        return now - float(duration[1]) * _UNITS_S[duration[2]]
    try:
        return datetime.fromisoformat(wanted).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{text!r} is neither a duration nor a time.", hint=_EXAMPLES) from error


def parse_period(text: str | None, *, now: float) -> tuple[float | None, float | None]:
    """Return the beginning and the end of `A..B`, `A..`, `..B` or `A`. None is an open end. Raises UsageError.

    `parse_since` reads both ends. None has two open ends.
    """
    if text is None:
        return None, None
    begin, dots, end = map(str.strip, text.partition(".."))
    since_s = None if dots and end and not begin else parse_since(begin, now=now)
    until_s = parse_since(end, now=now) if end else None
    if since_s is not None and until_s is not None and since_s >= until_s:
        order = "Write the earlier time first. A day means its beginning, so `yesterday..today` is yesterday."
        raise UsageError(f"{text!r} does not end after it begins.", hint=order)
    return since_s, until_s
