"""The cause for a timestamp that is outside the tolerance."""

from __future__ import annotations

import math

from port_hook_cli.invocations.models import Cause
from port_hook_cli.text.durations import format_duration

_MINUTE_S, _HOUR_S, _YEAR_S = 60, 3_600, 31_557_600
_MAX_ZONE_H = 14
_OTHER_UNIT_S = -100 * _YEAR_S


def clock_skew(age_s: float, tolerance_s: float) -> Cause:
    """Return the cause for a timestamp that is `age_s` seconds behind the receiver's clock (negative: ahead)."""
    side = "past" if age_s > 0 else "future"
    message = f"The timestamp is {format_duration(abs(age_s))} in the {side}; the tolerance is {tolerance_s:g} s."
    return Cause("clock-skew", " ".join([message, *_guesses(age_s)]), _fix(age_s))


def _guesses(age_s: float) -> list[str]:
    if age_s < _OTHER_UNIT_S:
        return ["It looks like microseconds or nanoseconds."]
    guesses = ["A whole number of hours suggests a wrong time zone."] if _is_whole_hours(abs(age_s)) else []
    if age_s > 0:
        guesses.append("It may be an old request that was sent again.")
    return guesses


def _is_whole_hours(duration_s: float) -> bool:
    """Return whether a duration is the offset of a time zone, to within a minute."""
    hours = round(duration_s / _HOUR_S) if math.isfinite(duration_s) else 0
    return 1 <= hours <= _MAX_ZONE_H and abs(duration_s - hours * _HOUR_S) <= _MINUTE_S


def _fix(age_s: float) -> str:
    if age_s > 0:
        return (
            "Sign the request again with the current time, as `port-hook replay` does. If the request is new, compare "
            "the clocks of the sender and the receiver."
        )
    return "Compare the clocks of the sender and the receiver. The timestamp is seconds since 1970 in UTC."
