"""A verdict in words."""

from __future__ import annotations

from collections.abc import Iterator

from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.text.safe import brief
from port_hook_cli.text.styled import Styled

STATUS_WORDS = {
    Status.VALID: "the signature is Port's, for exactly these bytes",
    Status.REENCODED: "the signature fits the same JSON written differently, not these bytes",
    Status.STALE: "the signature fits, but its timestamp is outside the tolerance",
    Status.INVALID: "the signature does not fit as it stands",
    Status.MISSING: "there is no signature, or no timestamp",
    Status.MALFORMED: "what stands in the signature's place is no signature",
    Status.UNCHECKED: "the signature was not checked",
}

MOST_WORDS = 600
"""How many characters of a cause's words are shown: all of ours, and the beginning of a capture file's."""

_YELLOW = {Status.REENCODED, Status.STALE, Status.UNCHECKED}
_FIX = "  fix: "

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the verdict as lines for a reader: the status, what matched, the age, then each cause with its fix."""
    lines = [f"{verdict.status}: {STATUS_WORDS[verdict.status]}"]
    if verdict.reading is not None:
        lines.append(f"reading: {brief(verdict.reading)}")
    if verdict.age_s is not None:
        lines.append(f"age: {format_age(verdict.age_s)}")
    for cause in verdict.causes:
        lines.append(f"{brief(cause.slug)}: {brief(cause.words, MOST_WORDS)}")
        if cause.fix:
            lines.append(f"{_FIX}{brief(cause.fix, MOST_WORDS)}")
    return lines


def verdict_view(verdict: Verdict) -> Iterator[Styled]:
    """Yield `verdict_lines` with the status and the fixes in color."""
    first, *others = verdict_lines(verdict)
    status = str(verdict.status)
    yield Styled.assemble((status, f"bold {status_colour(verdict.status)}"), first.removeprefix(status))
    for line in others:
        yield Styled(line, "cyan" if line.startswith(_FIX) else "")


def status_colour(status: Status) -> str:
    """Return the colour that goes with a status."""
    if status is Status.VALID:
        return "green"
    return "yellow" if status in _YELLOW else "red"


def format_age(age_s: float) -> str:
    """Return an age in words; a timestamp a second or more ahead of the clock is `… in the future`."""
    span = format_span(abs(age_s))
    return f"{span} in the future" if age_s <= -1 else span


def format_span(span_s: float) -> str:
    """Return a length of time (not negative) as `12 s`, `5 min 3 s`, `2 h 10 min` or `13 d 4 h`."""
    seconds = int(span_s)
    if seconds < 2 * _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S} s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
    return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"
