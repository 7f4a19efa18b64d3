"""Sends the requests of the checks to a handler, and judges how the handler reacts.

The forged requests follow the first valid requests. They show whether anyone can start the work, and a good handler
rejects them without working. Other valid requests and repeats come next, then requests that may crash a handler.

The results depend on the first two requests: a badly signed request, and the same request with a valid signature. If
the handler reacts to both in the same way, its verification or its path has a mistake. If it does not accept a valid
request, a rejected request proves nothing, so the checks that expect a rejection are not observed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from port_hook_cli.check.catalog import BY_SLUG
from port_hook_cli.check.exam import LOOK, STOPS, HandlerExam
from port_hook_cli.check.failure_checks import check_failures
from port_hook_cli.check.findings import CheckFinding, CheckReport, in_order, not_observed
from port_hook_cli.check.forgery_checks import check_forgeries
from port_hook_cli.check.form_checks import check_broken_requests, check_forms
from port_hook_cli.check.means import CheckMeans
from port_hook_cli.check.pace import TIME_UP, LeftHandler
from port_hook_cli.check.plan import CheckPlan, why_not_applicable
from port_hook_cli.check.probing import Prober
from port_hook_cli.check.reactions import stops_seen
from port_hook_cli.check.repeat_checks import check_repeats
from port_hook_cli.check.report_checks import (
    check_late_reports,
    check_reports,
    warn_about_address,
    watch_first_run,
)
from port_hook_cli.check.signature_checks import check_survival, check_unset_secret
from port_hook_cli.check.subject import CheckSubject
from port_hook_cli.check.valid_request import check_second, check_valid

OnFinding: TypeAlias = Callable[[CheckFinding], None]
"""A callback for findings. It gets each finding when the finding is settled, not in the order of the table."""

OnSearch: TypeAlias = Callable[[int, str], None]
"""A callback for the search for the reason why a handler rejects valid requests: the number and kind of a request."""


async def check(
    subject: CheckSubject,
    means: CheckMeans,
    plan: CheckPlan,
    on_finding: OnFinding = lambda _: None,
    on_search: OnSearch = lambda _number, _what: None,
    *,
    original: str | None = None,
) -> CheckReport:
    """Check a handler, and return the findings after at most `plan.limits.within_s` seconds and a few more.

    `original` is the ID of the capture from which the subject was made. Nothing that a handler does raises an error. A
    sandbox that stops responding does not extend the time.
    """
    began = asyncio.get_running_loop().time()
    slugs = plan.expected(subject, starts_handler=means.handler is not None)
    exam = HandlerExam(
        prober=Prober(subject, means, plan.limits),
        slugs=slugs,
        on_finding=on_finding,
        on_search=on_search,
        original=original,
    )
    limit = asyncio.timeout(plan.limits.within_s + plan.limits.waits.overtime_s)
    try:
        async with limit:
            await _examine(exam)
        exam.leave("the check was not reached")
    except TimeoutError:
        if not limit.expired():
            raise
        await exam.judge_late_calls()
        exam.leave(TIME_UP)
    except LeftHandler as reason:
        await exam.judge_late_calls()
        await _settle_death(exam)
        exam.leave(str(reason))
    finally:
        exam.prober.close()
        exam.hold_output()
    return CheckReport(
        findings=in_order([*exam.findings.values(), *_not_applicable(plan, slugs)]),
        duration_s=asyncio.get_running_loop().time() - began,
        sent=exam.prober.sent,
        output=exam.output or b"",
        fault=exam.fault,
    )


async def _examine(exam: HandlerExam) -> None:
    await check_valid(exam)
    has_called = True
    if exam.baseline is not None:
        await watch_first_run(exam)
        await check_second(exam)
    await check_forgeries(exam)
    if exam.baseline is not None:
        await check_forms(exam, exam.baseline)
        has_called = await check_reports(exam)
        if has_called:
            await _check_other_runs(exam)
        await check_broken_requests(exam)
    if not has_called:
        await check_late_reports(exam)
        await _check_other_runs(exam)
    await check_survival(exam)
    await exam.judge_late_calls()
    exam.hold_output()  # saved before the handler starts without its secret
    if exam.baseline is not None:
        await check_unset_secret(exam)
    else:
        await warn_about_address(exam)
        exam.leave(exam.never_accepted)


async def _check_other_runs(exam: HandlerExam) -> None:
    """Judge the runs after the first run by comparing them with the handler's work for the first run."""
    await check_repeats(exam)
    await check_failures(exam)


async def _settle_death(exam: HandlerExam) -> None:
    """Report a crash of the handler if the check about crashes was not reached."""
    if stops := exam.prober.recovery.stops:
        await exam.fails("survives", stops_seen(stops), stops, failure=STOPS, fix=LOOK)


def _not_applicable(plan: CheckPlan, made: frozenset[str]) -> tuple[CheckFinding, ...]:
    left_out = [BY_SLUG[slug] for slug in plan.named & plan.slugs - made]
    return tuple(not_observed(each, why_not_applicable(each)) for each in left_out)
