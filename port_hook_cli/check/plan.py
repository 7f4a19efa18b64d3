"""The plan of a check: which checks run with a request, and how long they may take.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from port_hook_cli.check.catalog import BY_SLUG, CHECKS, REJECTED, CheckGroup, HandlerCheck, selected, slugs_of
from port_hook_cli.errors import UsageError

if TYPE_CHECKING:
    from port_hook_cli.check.subject import CheckSubject

WITHIN_S = 60.0
TIMEOUT_S = 5.0
ABOUT_REPORTS = frozenset(slugs_of(CheckGroup.REPEATS, CheckGroup.REPORTS)) - {"order"}
"""The checks that need a sandbox, which shows what the handler reports."""

_FORGED = frozenset({check.slug for check in CHECKS if check.expected == REJECTED} | {"rejection-status", "survives"})
_FIRST, _FIRST_VALID = 3, 2
"""The badly signed request and the two valid requests with which every check begins."""


class CheckWaits(NamedTuple):
    """How many seconds a check waits for what the handler may do after a request, before it draws a conclusion.

    A first look at the first valid run takes `moment_s`. Later, the check waits `first_call_s` for the run's first call
    to the sandbox, `end_s` for its end, and, after the other checks, `late_call_s` for a first call that has not come.
    Calls count for `late_s` after the last check that they can disprove. A handler is slow if a response takes more
    than `slow_s`. The timeout of a response is at least `least_timeout_s`, unless the user's timeout is shorter.
    Started requests may continue for `overtime_s` after the time limit.
    """

    moment_s: float = 0.5
    first_call_s: float = 2.0
    late_call_s: float = 4.0
    end_s: float = 10.0
    late_s: float = 0.5
    slow_s: float = 0.5
    least_timeout_s: float = 2.0
    overtime_s: float = 3.0


_WAITS = CheckWaits()


class CheckLimits(NamedTuple):
    """How many seconds a check may take in total, and how many seconds it waits for one response.

    `waits` are the waits for everything else.
    """

    within_s: float = WITHIN_S
    timeout_s: float = TIMEOUT_S
    waits: CheckWaits = _WAITS


_LIMITS = CheckLimits()


class CheckPlan(NamedTuple):
    """The slugs of the checks to run. The checks in `named` are reported even if they cannot run."""

    slugs: frozenset[str] = frozenset(BY_SLUG)
    named: frozenset[str] = frozenset()
    limits: CheckLimits = _LIMITS

    @classmethod
    def of(cls, only: Sequence[str] = (), skip: Sequence[str] = (), limits: CheckLimits = _LIMITS) -> Self:
        """Return the plan for the checks and groups in `only`, without the checks and groups in `skip`.

        If `only` is empty, it means all checks. Raises UsageError for an unknown name, and if no check is left.
        """
        slugs = selected(tuple(only), tuple(skip))
        if not slugs:
            raise UsageError("`only` and `skip` exclude all checks.", hint="Leave a name out of `skip`.")
        return cls(slugs, frozenset(only) & BY_SLUG.keys(), limits)

    def without(self, spent_s: float) -> Self:
        """Return the plan for the time that remains after `spent_s` seconds."""
        limits = self.limits
        return self._replace(limits=limits._replace(within_s=max(0.0, limits.within_s - spent_s)))

    def expected(self, subject: CheckSubject, *, starts_handler: bool) -> frozenset[str]:
        """Return the slugs of the checks that will run."""
        return self.slugs & applicable(subject, starts_handler=starts_handler)

    def works(self, subject: CheckSubject, *, starts_handler: bool) -> int:
        """Return approximately how often a handler that does not verify signatures starts its work."""
        slugs = self.expected(subject, starts_handler=starts_handler)
        return _FIRST + sum(BY_SLUG[slug].starts for slug in slugs)

    def valid_requests(self, subject: CheckSubject, *, starts_handler: bool, sees_reports: bool) -> int:
        """Return approximately how many valid requests a handler gets. Each may start its work."""
        slugs = self.expected(subject, starts_handler=starts_handler)
        if not sees_reports:
            slugs -= ABOUT_REPORTS
        accepted = (BY_SLUG[slug] for slug in slugs if slug not in _FORGED)
        return _FIRST_VALID + sum(check.starts for check in accepted)


def applicable(subject: CheckSubject, *, starts_handler: bool) -> frozenset[str]:
    """Return the slugs of the checks that make sense for a request."""
    left_out = {
        "valid-agent": not subject.via_agent,
        "secret-unset": not starts_handler,
        "unknown-action": subject.of_unknown_action() is None,
        "sync-status": not subject.synchronized,
        "node-result": not subject.is_node or subject.synchronized,
        **dict.fromkeys(("terminal", "failure-reported"), subject.synchronized),
        **dict.fromkeys(("once", "after-work"), subject.synchronized),
        **({"terminal": True} if subject.is_node else {}),
    }
    return frozenset(check.slug for check in CHECKS if not left_out.get(check.slug, False))


def why_not_applicable(check: HandlerCheck) -> str:
    """Return why a check that the user named cannot run."""
    return f"it applies only to {check.only}" if check.only else "the response, not a report, ends a synchronous run"
