"""The verb: sends the requests of the checks to a handler, and judges its reactions.

The requests go from harmless to harmful: valid requests, repeats, forged requests, then requests that may crash a
handler. The results rest on the first two requests: a badly signed request, and the same request with a valid
signature. If the handler reacts to both in the same way, its verification or its path is wrong. If it accepts no valid
request, a rejected request proves nothing, so the checks that expect one are not observed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self, TypeAlias

from port_hook_cli.check.catalog import BY_SLUG, selected
from port_hook_cli.check.exam import HandlerExam, applicable, why_not_applicable
from port_hook_cli.check.findings import CheckFinding, CheckReport, not_observed
from port_hook_cli.check.form_checks import check_broken_requests, check_forms
from port_hook_cli.check.probing import TIME_UP, CheckLimits, CheckMeans, LeftHandler, Prober
from port_hook_cli.check.run_checks import check_runs, check_runs_again, watch_first_run
from port_hook_cli.check.signature_checks import (
    check_forgeries,
    check_other_valid_requests,
    check_survival,
    check_unset_secret,
)
from port_hook_cli.check.subject import CheckSubject
from port_hook_cli.check.valid_request import check_valid
from port_hook_cli.errors import UsageError

OnFinding: TypeAlias = Callable[[CheckFinding], None]
"""Called with each finding when it is settled, not in the order of the table."""

_LIMITS = CheckLimits()
_OVERTIME_S = 3.0
"""How long started requests may continue after the time limit, in seconds."""


class CheckPlan(NamedTuple):
    """The slugs of the checks to make. The checks in `named` are reported even if they cannot be made."""

    slugs: frozenset[str] = frozenset(BY_SLUG)
    named: frozenset[str] = frozenset()
    limits: CheckLimits = _LIMITS

    @classmethod
    def of(cls, only: Sequence[str] = (), skip: Sequence[str] = (), limits: CheckLimits = _LIMITS) -> Self:
        """Return the plan for names of checks and groups: `only`, or all checks if it is empty, without `skip`.

        Raises UsageError for an unknown name, and if no check is left.
        """
        slugs = selected(tuple(only), tuple(skip))
        if not slugs:
            raise UsageError("`only` and `skip` exclude every check.", hint="Leave one of them out.")
        return cls(slugs, frozenset(only) & BY_SLUG.keys(), limits)

    def without(self, spent_s: float) -> Self:
        """Return the plan for the time that remains after `spent_s` seconds."""
        limits = self.limits
        return self._replace(limits=limits._replace(within_s=max(0.0, limits.within_s - spent_s)))

    def expected(self, subject: CheckSubject, *, starts_handler: bool) -> frozenset[str]:
        """Return the slugs of the checks that will be made."""
        return self.slugs & applicable(subject, starts_handler=starts_handler)

    def valid_requests(self, subject: CheckSubject, *, starts_handler: bool) -> int:
        """Return how many requests a correct handler accepts. Each starts real work."""
        slugs = self.expected(subject, starts_handler=starts_handler)
        return 1 + sum(BY_SLUG[slug].starts for slug in slugs)


async def check(
    subject: CheckSubject,
    means: CheckMeans,
    plan: CheckPlan,
    on_finding: OnFinding = lambda _: None,
    *,
    original: str | None = None,
) -> CheckReport:
    """Check a handler and return the findings, after `plan.limits.within_s` seconds and a few more at most.

    `original` is the id of the capture that the subject was made from. Nothing that a handler does raises an error, and
    a sandbox that does not respond takes no more time either.
    """
    began = asyncio.get_running_loop().time()
    slugs = plan.expected(subject, starts_handler=means.backend is not None)
    exam = HandlerExam(
        prober=Prober(subject, means, plan.limits), slugs=slugs, on_finding=on_finding, original=original
    )
    limit = asyncio.timeout(plan.limits.within_s + _OVERTIME_S)
    try:
        async with limit:
            await _examine(exam)
        exam.leave("the check was not reached")
    except TimeoutError:
        if not limit.expired():
            raise
        exam.leave(TIME_UP)
    except LeftHandler as reason:
        await _settle_death(exam)
        exam.leave(str(reason))
    finally:
        exam.prober.close()
        exam.hold_output()
    findings = (*exam.report(), *_not_applicable(plan, slugs))
    order = list(BY_SLUG)
    return CheckReport(
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.check.slug))),
        duration_s=asyncio.get_running_loop().time() - began,
        sent=exam.prober.sent,
        output=exam.output or b"",
    )


async def _examine(exam: HandlerExam) -> None:
    await check_valid(exam)
    if exam.baseline is not None:
        await watch_first_run(exam)
        await check_other_valid_requests(exam)
        await check_forms(exam)
        await check_runs(exam)
    await check_forgeries(exam)
    if exam.baseline is not None:
        await check_broken_requests(exam)
        await check_runs_again(exam)
    await check_survival(exam)
    exam.hold_output()  # before the handler starts without its secret
    if exam.baseline is not None:
        await check_unset_secret(exam)
    else:
        exam.leave(exam.never_accepted)


async def _settle_death(exam: HandlerExam) -> None:
    """Report a crash of the handler, if the check about crashes was not reached."""
    deaths = exam.prober.deaths
    if deaths:
        await exam.fails(
            "survives", deaths[0].seen, deaths, failure="crashes", fix="Find the error in the handler's log."
        )


def _not_applicable(plan: CheckPlan, made: frozenset[str]) -> tuple[CheckFinding, ...]:
    left_out = [BY_SLUG[slug] for slug in plan.named & plan.slugs - made]
    return tuple(not_observed(each, why_not_applicable(each)) for each in left_out)
