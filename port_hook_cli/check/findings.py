"""The findings of a check, their counts, and the records of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from port_hook_cli.check.catalog import BY_SLUG, CheckGroup, CheckSeverity, HandlerCheck
from port_hook_cli.text.safe import printable, shorten

if TYPE_CHECKING:
    from port_hook_cli.check.fault import FoundFault

HANDLER_CHECK = "port-hook/handler-check/1"
NO_SANDBOX = "no sandbox shows what the handler reports"
"""Why the checks of repeats and reports have no result without a sandbox."""

ESSENTIAL = ("valid", "no-signature", "other-secret")
"""The checks without which nothing is proved: a valid request is accepted, and the simplest forgeries are rejected."""

_MOST_SHOWN = 2_000


class CheckOutcome(StrEnum):
    """The result of a whole check. UNPROVED means that none failed, but one of `ESSENTIAL` has no result."""

    PASSED = "passed"
    FAILED = "failed"
    UNPROVED = "unproved"
    NOT_OBSERVED = "not-observed"


class CheckStatus(StrEnum):
    """The result of one check. NOT_OBSERVED means that the check has no result, and `seen` is the reason."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    INFORMATION = "information"
    NOT_OBSERVED = "not-observed"


_STATUSES = {
    CheckSeverity.FAILURE: CheckStatus.FAILED,
    CheckSeverity.WARNING: CheckStatus.WARNING,
    CheckSeverity.INFORMATION: CheckStatus.INFORMATION,
}


class CheckFinding(NamedTuple):
    """The result of one check.

    `failure` continues "The handler …", and is "" for a passed check. `seen` describes what happened, as a clause, and
    `fix` tells the user what to change. `captures` are the IDs of the captures that prove the finding. `is_gap` means
    that the check applies but has no result, because time ran out, a valid request was rejected, or no call arrived.
    `part_of` is the slug of the finding that has the same cause and the same fix, or "".
    """

    check: HandlerCheck
    status: CheckStatus
    seen: str
    failure: str = ""
    fix: str = ""
    captures: tuple[str, ...] = ()
    is_gap: bool = False
    part_of: str = ""

    def __repr__(self) -> str:
        """Return the text that Python and pytest show for a finding."""
        return f"<CheckFinding {self.check.slug} {self.status}: {self.seen}>"

    @property
    def is_wrong(self) -> bool:
        """Whether the user should change the handler."""
        return self.status in {CheckStatus.FAILED, CheckStatus.WARNING}

    def fails(self, *, strict: bool) -> bool:
        """Return whether the handler does not pass because of this. With `strict`, warnings and gaps count."""
        if strict and (self.status is CheckStatus.WARNING or self.is_gap):
            return True
        return self.status is CheckStatus.FAILED or self.is_unproved

    @property
    def is_unproved(self) -> bool:
        """Whether this is one of `ESSENTIAL` without a result."""
        return self.status is CheckStatus.NOT_OBSERVED and self.check.slug in ESSENTIAL

    def parts(self, findings: Iterable[CheckFinding]) -> tuple[str, ...]:
        """Return the slugs of the findings that are part of this finding."""
        return tuple(each.check.slug for each in findings if each.part_of == self.check.slug)

    @property
    def problem(self) -> str:
        """What the handler does wrong, or that the check has no result, as a sentence without its period."""
        return f"The handler {self.failure}" if self.failure else f"The check {self.check.slug} has no result"

    @property
    def record(self) -> dict[str, Any]:
        """The record of the finding in `check --json`."""
        return {
            "schema": HANDLER_CHECK,
            "type": "check",
            "group": str(self.check.group),
            "check": self.check.slug,
            "status": str(self.status),
            "severity": str(self.check.severity),
            "failure": self.failure or None,
            "seen": self.seen,
            "why": self.check.why if self.failure else None,
            "fix": self.fix or None,
            "captures": list(self.captures),
            "part_of": self.part_of or None,
        }


def passed(check: HandlerCheck, seen: str) -> CheckFinding:
    """Return the finding for a check that the handler passed."""
    return CheckFinding(check, CheckStatus.PASSED, _shown(seen))


def not_observed(check: HandlerCheck, reason: str, *, is_gap: bool = False, fix: str = "") -> CheckFinding:
    """Return the finding for a check without a result, with the reason, and with what helps to get a result."""
    return CheckFinding(check, CheckStatus.NOT_OBSERVED, _shown(reason), fix=fix, is_gap=is_gap)


def found(
    check: HandlerCheck, seen: str, *, severity: CheckSeverity | None = None, failure: str = "", fix: str = ""
) -> CheckFinding:
    """Return the finding for a check that the handler did not pass.

    Arguments replace the check's severity and texts.
    """
    status = _STATUSES[severity or check.severity]
    gap = f" {check.gap}" if check.gap and not fix else ""
    shown = f"{_shown(seen)}.{gap}" if gap else _shown(seen)
    return CheckFinding(check, status, shown, _shown(failure) or check.failure, fix or check.fix)


def _shown(text: str) -> str:
    """Return text from the handler or the sandbox, shortened and made printable, so that it is safe to display."""
    return printable(shorten(text, _MOST_SHOWN))


def in_order(findings: Iterable[CheckFinding]) -> tuple[CheckFinding, ...]:
    """Return findings in the order of the table of checks."""
    order = list(BY_SLUG)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.check.slug)))


class CheckReport(NamedTuple):
    """The findings in the order of the table, and the duration. `sent` is the number of requests.

    `fault` is the result of the search for the reason why the handler rejected the valid request.
    """

    findings: tuple[CheckFinding, ...]
    duration_s: float
    sent: int
    output: bytes = b""
    fault: FoundFault | None = None

    def __repr__(self) -> str:
        """Return the text that Python and pytest show for a report."""
        wrong = [finding.check.slug for finding in self.findings if finding.is_wrong]
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        named = f" ({', '.join(wrong)})" if wrong else ""
        return f"<CheckReport {counts or 'nothing'}{named}>"

    def count(self, status: CheckStatus) -> int:
        """Return how many checks have this status."""
        return sum(1 for finding in self.findings if finding.status is status)

    @property
    def has_results(self) -> bool:
        """Whether at least one check was observed."""
        return any(finding.status is not CheckStatus.NOT_OBSERVED for finding in self.findings)

    @property
    def has_only_a_fault(self) -> bool:
        """Whether nothing has a result except the search for the reason why the handler rejected the valid request."""
        observed = [each.check.slug for each in self.findings if each.status is not CheckStatus.NOT_OBSERVED]
        return self.fault is not None and observed == ["valid"]

    @property
    def unproved(self) -> tuple[CheckFinding, ...]:
        """The essential checks without a result."""
        return tuple(finding for finding in self.findings if finding.is_unproved)

    def outcome(self, *, strict: bool = False) -> CheckOutcome:
        """Return the result of the whole check. With `strict`, a warning and a gap are failures."""
        failing = [finding for finding in self.findings if finding.fails(strict=strict)]
        if not self.has_results:
            return CheckOutcome.NOT_OBSERVED
        if self.unproved and not any(finding.is_wrong for finding in failing):
            return CheckOutcome.UNPROVED
        return CheckOutcome.FAILED if failing else CheckOutcome.PASSED

    def ok(self, *, strict: bool = False) -> bool:
        """Return whether the outcome is PASSED."""
        return self.outcome(strict=strict) is CheckOutcome.PASSED

    def of(self, group: CheckGroup) -> tuple[CheckFinding, ...]:
        """Return the findings of a group."""
        return tuple(finding for finding in self.findings if finding.check.group is group)

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of checks by status, in the order of the statuses."""
        counted = Counter(finding.status for finding in self.findings)
        return {str(status): counted[status] for status in CheckStatus}

    def record(self, *, strict: bool = False) -> dict[str, Any]:
        """Return the last record of `check --json`."""
        return {
            "schema": HANDLER_CHECK,
            "type": "summary",
            "outcome": str(self.outcome(strict=strict)),
            "checks": len(self.findings),
            **{name.replace("-", "_"): count for name, count in self.counts.items()},
            "requests": self.sent,
            "duration_s": round(self.duration_s, 3),
            "fault": None if self.fault is None else self.fault.record,
        }
