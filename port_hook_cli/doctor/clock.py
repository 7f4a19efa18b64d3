"""How far this machine's clock is from the one of a server, from the `Date` header of its response. Pure."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from port_hook_cli.doctor.check import CheckResult, CheckState
from port_hook_cli.text.durations import format_duration

# `listen` and `verify` accept timestamps that are this far off, as Port's own backends do.
_TOLERANCE_S = 300.0
_NOTABLE_S = 5.0


def clock_skew_s(date: str | None, sent_s: float, received_s: float) -> float | None:
    """Return how many seconds this machine's clock is at least ahead (negative: behind), or None without a date.

    The server wrote its time, without fractions, at some moment between `sent_s` and `received_s` (epoch seconds).
    """
    try:
        parsed = parsedate_to_datetime(date or "")
    except (ValueError, OverflowError):
        return None
    server_s = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    least, most = sent_s - (server_s + 1.0), received_s - server_s
    return max(least, 0.0) or min(most, 0.0)


def clock_result(skew_s: float | None, api_url: str) -> CheckResult:
    """Return the result of the check of the clock."""
    if skew_s is None:
        return CheckResult(check="clock", state=CheckState.SKIPPED, message=f"{api_url} did not say what time it is.")
    details = {"skew_s": round(skew_s, 3)}
    if abs(skew_s) < _NOTABLE_S:
        message = "The clock agrees with that of the API."
        return CheckResult(check="clock", state=CheckState.OK, message=message, details=details)
    side = "ahead of" if skew_s > 0 else "behind"
    is_large = abs(skew_s) > _TOLERANCE_S
    effect = (
        "Signatures are refused because of their timestamps." if is_large else "Timestamps look too old or too new."
    )
    return CheckResult(
        check="clock",
        state=CheckState.PROBLEM if is_large else CheckState.WARNING,
        message=f"The clock is {format_duration(abs(skew_s))} {side} that of the API. {effect}",
        next_step="Synchronize the clock of this machine, for example with NTP.",
        details=details,
    )
