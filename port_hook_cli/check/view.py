"""The lines that `check` prints: what it sends, the findings, the checks, and the handler's output.

This module is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from port_hook_cli.check.catalog import BY_SLUG, CheckGroup, HandlerCheck
from port_hook_cli.check.findings import CheckFinding, CheckOutcome, CheckReport, CheckStatus
from port_hook_cli.text.durations import format_duration, format_latency
from port_hook_cli.text.layout import labeled, wrap
from port_hook_cli.text.safe import plain_output, printable, shorten
from port_hook_cli.text.secret import Masker
from port_hook_cli.text.styled import Styled

FINDING_INDENT = 15
"""The column where the text of a finding begins, for `text/layout.py:fit`."""

_MOST_LINES, _MOST_COLUMNS = 20, 200
_MOST_SEEN = 500
_MOST_NAMED = 5
_MARKS = {
    CheckStatus.PASSED: ("✓", "green"),
    CheckStatus.FAILED: ("✗", "bold red"),
    CheckStatus.WARNING: ("!", "bold yellow"),
    CheckStatus.INFORMATION: ("·", "dim"),
    CheckStatus.NOT_OBSERVED: ("?", "dim"),
}
_WORST_FIRST = (CheckStatus.FAILED, CheckStatus.WARNING, CheckStatus.INFORMATION, CheckStatus.PASSED)
_STYLES = {CheckStatus.FAILED: "red", CheckStatus.WARNING: "yellow"}
_BRIEF_S = 0.1  # as a duration, this would be shown as 0 s
_COUNTED = {
    CheckStatus.PASSED: ("passed", "passed"),
    CheckStatus.FAILED: ("failed", "failed"),
    CheckStatus.WARNING: ("warning", "warnings"),
    CheckStatus.INFORMATION: ("informational", "informational"),
    CheckStatus.NOT_OBSERVED: ("not observed", "not observed"),
}
_GAP = "  "
_ERROR = re.compile(r"traceback|error\b|exception|panic|fatal", re.IGNORECASE)


def report_lines(report: CheckReport) -> Iterator[Styled]:
    """Yield the findings by group, without the last line of the report. Fit the lines with `FINDING_INDENT`."""
    for group in CheckGroup:
        if findings := report.of(group):
            yield from _group_lines(group, findings)


def _group_lines(group: CheckGroup, findings: Sequence[CheckFinding]) -> Iterator[Styled]:
    observed = [finding for finding in findings if finding.status is not CheckStatus.NOT_OBSERVED]
    passed = sum(finding.status is CheckStatus.PASSED for finding in observed)
    lines = [line for finding in observed for line in finding_lines(finding, findings)]
    lines += _unobserved_lines(finding for finding in findings if finding.status is CheckStatus.NOT_OBSERVED)
    if observed:
        worst = next(status for status in _WORST_FIRST if any(each.status is status for each in observed))
        mark, style = _MARKS[CheckStatus.PASSED if passed else worst]
        lines.insert(0, Styled.assemble((mark, style), f" {passed} of {len(observed)}"))
    for number, line in enumerate(lines):
        yield labeled("" if number else str(group), line)


def finding_lines(finding: CheckFinding, others: Iterable[CheckFinding] = ()) -> Iterator[Styled]:
    """Yield the problem and the fix of a finding, and the checks among `others` that failed for the same reason.

    Yield nothing for a passed check, and for a check that is part of another finding.
    """
    if finding.status is CheckStatus.PASSED or finding.part_of:
        return
    mark, style = _MARKS[finding.status]
    what, seen = printable(finding.failure), _brief(finding.seen)
    if not finding.is_wrong:
        yield Styled(f"{mark} {what}: {seen}", style)
        return
    yield Styled.assemble((f"{mark} ", style), (what, _STYLES[finding.status]), f": {seen}")
    if parts := finding.parts(others):
        yield Styled(f"  {len(parts) + 1} checks: {', '.join((finding.check.slug, *parts))}")
    yield Styled.assemble("  ", ("fix:", "cyan"), f" {printable(finding.fix)}")
    shown = "".join(f"{_GAP}port-hook show {each}" for each in finding.captures[:1])
    more = f"{_GAP}and {', '.join(finding.captures[1:])}" if finding.captures[1:] else ""
    yield Styled(f"  --only {finding.check.slug}{shown}{more}", "dim")


def _unobserved_lines(findings: Iterable[CheckFinding]) -> Iterator[Styled]:
    """Yield a line for each reason why checks were not observed, with these checks."""
    by_reason: dict[str, list[str]] = {}
    for finding in findings:
        by_reason.setdefault(finding.seen, []).append(finding.check.slug)
    mark, style = _MARKS[CheckStatus.NOT_OBSERVED]
    for reason, slugs in by_reason.items():
        yield Styled(f"{mark} {_named(slugs)}: not observed because {_brief(reason)}", style)


def _named(slugs: Sequence[str]) -> str:
    if len(slugs) <= _MOST_NAMED:
        return ", ".join(slugs)
    return f"{', '.join(slugs[:_MOST_NAMED])} and {len(slugs) - _MOST_NAMED} more"


def _brief(text: str) -> str:
    return printable(shorten(text, _MOST_SEEN))


def summary_line(report: CheckReport, *, is_whole: bool = True) -> Styled:
    """Return the last line of the report: the number of checks and their results."""
    total = len(report.findings)
    counts = [(status, report.counts[str(status)]) for status in CheckStatus]
    parts = [
        Styled(f"{count} {_COUNTED[status][count != 1]}", _STYLES.get(status, ""))
        for status, count in counts
        if count or status is CheckStatus.PASSED
    ]
    duration_s = report.duration_s
    took = format_latency(duration_s * 1000) if duration_s < _BRIEF_S else format_duration(duration_s)
    head = f"{total} check{'' if total == 1 else 's'} in {took}: "
    line = Styled(head if is_whole else f"Interrupted after {head}")
    for number, part in enumerate(parts):
        line = Styled.assemble(line, ", " if number else "", part)
    return Styled.assemble(line, ".")


def outcome_lines(report: CheckReport, *, strict: bool) -> Iterator[str]:
    """Yield notes, warnings and hints about missing results, unless there are findings to fix first."""
    outcome, gaps = report.outcome(strict=strict), [finding for finding in report.findings if finding.is_gap]
    if outcome is CheckOutcome.UNPROVED:
        yield from _unproved_lines(report)
        return
    if outcome is CheckOutcome.NOT_OBSERVED:
        yield "note: no check has a result, so port-hook cannot rate the handler"
    elif any(finding.is_wrong for finding in report.findings):
        return
    elif outcome is CheckOutcome.FAILED:
        yield f"note: --strict fails because checks have no result: {_named([each.check.slug for each in gaps])}"
    yield from (f"hint: {printable(fix)}" for fix in dict.fromkeys(each.fix for each in gaps if each.fix))


def _unproved_lines(report: CheckReport) -> Iterator[str]:
    by_reason: dict[tuple[str, str], list[str]] = {}
    for finding in report.unproved:
        by_reason.setdefault((finding.seen, finding.fix), []).append(finding.check.slug)
    for (reason, fix), slugs in by_reason.items():
        yield f"warning: nothing is proved, because there is no result for {', '.join(slugs)}: {_brief(reason)}"
        if fix:
            yield f"hint: {printable(fix)}"


def fault_summary(report: CheckReport) -> Styled:
    """Return the last line of a report that shows only why the handler rejects valid requests."""
    left = report.count(CheckStatus.NOT_OBSERVED)
    more = f" {left} other check{' needs' if left == 1 else 's need'} an accepted request." if left else ""
    return Styled(f"{report.sent} requests sent.{more}")


def begin_text(url: str, valid_requests: int) -> str:
    """Return a message with the approximate number of valid requests that the handler gets."""
    return f"Sending about {valid_requests} valid requests to {printable(url)}. Each may start real work."


def output_lines(output: bytes, masker: Masker) -> list[Styled]:
    """Return the last lines of the handler's output, shortened and with secrets masked."""
    lines = [line.rstrip() for line in plain_output(masker.content(output)).split("\n")]
    shown = [line for line in lines if line][-_MOST_LINES:]
    return [Styled(f"{_GAP}{printable(shorten(line, _MOST_COLUMNS))}", "dim") for line in shown]


def has_error(line: str) -> bool:
    """Return whether a line of a program's output looks like a part of a traceback or an error message."""
    return _ERROR.search(line) is not None


def check_table(slugs: frozenset[str], width: int | None) -> Iterator[Styled]:
    """Yield a line for each of the checks. None for `width` means no wrapping."""
    checks = [check for check in BY_SLUG.values() if check.slug in slugs]
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_cells, checks), strict=True)]
    indent = sum(widths) + len(_GAP) * len(widths)
    for check in checks:
        cells = [text.ljust(columns) + _GAP for text, columns in zip(_cells(check), widths, strict=True)]
        line = Styled.assemble(*zip(cells, ("", "cyan", "dim"), strict=True), f"the handler {check.failure}")
        yield from [line] if width is None or width <= indent else wrap(line, width, indent=indent)


def _cells(check: HandlerCheck) -> tuple[str, str, str]:
    return str(check.group), check.slug, str(check.severity)
