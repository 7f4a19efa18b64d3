"""How far a timestamp is off, in words."""

from __future__ import annotations

import math

from port_hook_cli.invocations.models import Cause

_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60, 3_600, 86_400, 31_557_600
_MAX_ZONE_H = 14
_OTHER_UNIT_S = -100 * _YEAR_S


def clock_skew(age_s: float, tolerance_s: float) -> Cause:
    """Return the cause for a timestamp that is `age_s` seconds behind the receiver's clock (negative: ahead)."""
    side = "past" if age_s > 0 else "future"
    message = f"The timestamp lies {format_duration(abs(age_s))} in the {side}; {tolerance_s:g} s are tolerated."
    return Cause("clock-skew", " ".join([message, *_guesses(age_s)]), _fix(age_s))


def format_duration(duration_s: float) -> str:
    """Return a duration in its largest fitting unit, rounded to a tenth of it."""
    if not math.isfinite(duration_s):
        return "infinitely long"
    for unit_s, name in ((_YEAR_S, "years"), (_DAY_S, "days"), (_HOUR_S, "hours"), (_MINUTE_S, "minutes")):
        if duration_s >= 2 * unit_s:
            amount = round(duration_s / unit_s, 1)
            return f"{amount:.0f} {name}" if amount.is_integer() else f"{amount} {name}"
    return f"{duration_s:.0f} seconds"


def _guesses(age_s: float) -> list[str]:
    if age_s < _OTHER_UNIT_S:
        return ["It looks like microseconds or nanoseconds."]
    guesses = ["A whole number of hours hints at a time-zone mistake."] if _is_whole_hours(abs(age_s)) else []
    if age_s > 0:
        guesses.append("An old request that is sent again looks the same.")
    return guesses


def _is_whole_hours(duration_s: float) -> bool:
    """Whether a duration is a time zone's offset, give or take a minute."""
    hours = round(duration_s / _HOUR_S) if math.isfinite(duration_s) else 0
    return 1 <= hours <= _MAX_ZONE_H and abs(duration_s - hours * _HOUR_S) <= _MINUTE_S


def _fix(age_s: float) -> str:
    if age_s > 0:
        return (
            "Sign again with a fresh timestamp, as `port-hook replay` does. If the request is fresh, compare the "
            "clocks of sender and receiver."
        )
    return "Compare the clocks of sender and receiver; the timestamp is seconds since 1970 in UTC."
