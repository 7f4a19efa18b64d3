"""The result of one check as a value, a line and a record, and the check of the clock.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum, unique
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.text.durations import format_duration
from port_hook_cli.text.layout import wrap
from port_hook_cli.text.safe import printable
from port_hook_cli.text.styled import Styled

# `listen`, `verify` and Port's own handlers have this tolerance for timestamps.
_TOLERANCE_S = 300.0
_NOTABLE_S = 5.0
_GAP = "  "
CHECK = "port-hook/check/1"


@unique
class CheckState(StrEnum):
    """How a check ended. A check is skipped if it could not run, or an optional feature is missing."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


@frozen(kw_only=True)
class CheckResult:
    """The result of a check: a sentence, the next step (or ""), and values for programs, without secrets.

    `subject` names the subject if a check has several results, such as the name of a tunnel provider. Otherwise, it is
    "".
    """

    check: str
    state: CheckState
    message: str
    subject: str = ""
    next_step: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def has_problem(results: Iterable[CheckResult]) -> bool:
    """Return whether one of the checks found a problem."""
    return any(result.state is CheckState.PROBLEM for result in results)


def clock_skew_s(date: str | None, sent_s: float, received_s: float) -> float | None:
    """Return the minimum number of seconds by which this machine's clock is ahead (negative: behind).

    Returns None without a date. The server wrote its time, in whole seconds, between `sent_s` and `received_s`, which
    are in seconds since the epoch.
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
        return CheckResult(check="clock", state=CheckState.SKIPPED, message=f"{api_url} did not send its time.")
    details = {"skew_s": round(skew_s, 3)}
    if abs(skew_s) < _NOTABLE_S:
        message = "The clock matches the API's clock."
        return CheckResult(check="clock", state=CheckState.OK, message=message, details=details)
    side = "ahead of" if skew_s > 0 else "behind"
    is_large = abs(skew_s) > _TOLERANCE_S
    effect = (
        "Signatures are rejected because of their timestamps." if is_large else "Timestamps look too old or too new."
    )
    return CheckResult(
        check="clock",
        state=CheckState.PROBLEM if is_large else CheckState.WARNING,
        message=f"The clock is {format_duration(abs(skew_s))} {side} the API's clock. {effect}",
        next_step="Synchronize the clock of this machine, for example with NTP.",
        details=details,
    )


_STYLES = {
    CheckState.OK: "green",
    CheckState.SKIPPED: "dim",
    CheckState.WARNING: "yellow",
    CheckState.PROBLEM: "bold red",
}


def result_lines(results: Sequence[CheckResult], width: int | None) -> Iterator[Styled]:
    """Yield the table of results, and a last line that sums them up. None for `width` means no wrapping."""
    states = max(len(state) for state in CheckState)
    names = max((len(_name(result)) for result in results), default=0)
    indent = states + names + 2 * len(_GAP)
    for result in results:
        head = ((f"{result.state:<{states}}", _STYLES[result.state]), f"{_GAP}{_name(result):<{names}}{_GAP}")
        yield from _wrapped(Styled.assemble(*head, printable(result.message)), width, indent)
        if result.next_step:
            step = Styled.assemble(" " * indent, ("next: ", "cyan"), printable(result.next_step))
            yield from _wrapped(step, width, indent)
    yield Styled()
    yield Styled(_summary(results), "bold")


def _name(result: CheckResult) -> str:
    return printable(f"{result.check} {result.subject}".rstrip())


def _wrapped(line: Styled, width: int | None, indent: int) -> Iterator[Styled]:
    if width is None or width <= 2 * indent:
        yield line
    else:
        yield from wrap(line, width, indent=indent)


def _summary(results: Sequence[CheckResult]) -> str:
    problems = sum(result.state is CheckState.PROBLEM for result in results)
    warnings = sum(result.state is CheckState.WARNING for result in results)
    return f"{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}.".capitalize()


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def check_record(result: CheckResult) -> dict[str, Any]:
    """Return the result of one check as a record."""
    return {
        "schema": CHECK,
        "check": result.check,
        "subject": result.subject or None,
        "state": str(result.state),
        "message": result.message,
        "next_step": result.next_step or None,
        "details": dict(result.details),
    }
