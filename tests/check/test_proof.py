"""A check passes only if it proves something: a valid request was accepted, and simple forgeries were rejected."""

from __future__ import annotations

import asyncio
import itertools
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web

from port_hook_cli.check.catalog import BY_SLUG
from port_hook_cli.check.findings import CheckReport, not_observed, passed
from port_hook_cli.check.junit import junit_report
from port_hook_cli.check.plan import CheckLimits
from port_hook_cli.check.view import outcome_lines
from tests.check.test_checking import LIMITS, WAITS, is_valid, run_check, statuses, wrong
from tests.check.test_hidden_effects import Received, check_with_sandbox

FORGED = ("no-signature", "other-secret")
PROVED = {"valid": "passed", "no-signature": "passed", "other-secret": "passed"}


async def test_slow_handler_without_verification_fails_before_the_time_limit() -> None:
    async def slow(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(0.15)
        return web.Response(status=202)

    report = await run_check(slow, limits=CheckLimits(within_s=3.0, waits=WAITS._replace(slow_s=0.1)))

    assert wrong(report).keys() >= {*FORGED, "old", "body-changed"}
    assert "the check reached its time limit" in {finding.seen for finding in report.findings}


async def test_slow_handler_gets_the_other_forms_of_a_valid_request_concurrently() -> None:
    working, most = 0, 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal working, most
        working += 1
        most = max(most, working)
        body = await request.read()
        await asyncio.sleep(0.15)
        working -= 1
        return web.Response(status=202 if is_valid(request, body) else 401)

    forms = ("valid-milliseconds", "header-case", "charset", "size", "slow")
    report = await run_check(slow, "valid", *forms, limits=LIMITS._replace(waits=WAITS._replace(slow_s=0.1)))

    assert statuses(report) == dict.fromkeys(("valid", *forms), "passed")
    assert most == len(forms)


async def test_missing_response_to_forged_requests_proves_nothing() -> None:
    async def ignores_forgeries(request: web.Request) -> web.Response:
        if not is_valid(request, await request.read()):
            await asyncio.Event().wait()
        return web.Response(status=202)

    limits = LIMITS._replace(timeout_s=0.3)
    report = await run_check(ignores_forgeries, "valid", *FORGED, limits=limits)

    assert {finding.check.slug for finding in report.unproved} == set(FORGED)
    assert report.outcome() == "unproved"
    assert not report.ok()
    assert all("--timeout" in finding.fix for finding in report.unproved)


async def test_expired_time_limit_proves_nothing_and_the_hint_shows_the_option() -> None:
    requests = itertools.count(1)

    async def hangs_later(request: web.Request) -> web.Response:
        if next(requests) > 3:  # after the requests with which each check begins
            await asyncio.Event().wait()
        return web.Response(status=202 if is_valid(request, await request.read()) else 401)

    report = await run_check(hangs_later, limits=CheckLimits(within_s=1.0))

    assert report.outcome() == "unproved"
    assert {finding.fix for finding in report.unproved} == {"Pass a longer --within."}


@pytest.mark.parametrize(("is_gap", "strict_outcome"), [(True, "failed"), (False, "passed")])
def test_strict_check_fails_for_a_gap_but_not_for_an_inapplicable_check(is_gap: bool, strict_outcome: str) -> None:
    unseen = not_observed(BY_SLUG["failure-reported"], "nothing failed", is_gap=is_gap, fix="Pass X.")
    report = CheckReport((*(passed(BY_SLUG[slug], "ok") for slug in PROVED), unseen), 1.0, 5)

    assert (report.outcome(), report.outcome(strict=True)) == ("passed", strict_outcome)
    assert report.record(strict=True)["outcome"] == strict_outcome
    hints = ["hint: Pass X."] if is_gap else []
    notes = ["note: --strict fails because checks have no result: failure-reported"] if is_gap else []
    assert list(outcome_lines(report, strict=True)) == notes + hints
    assert list(outcome_lines(report, strict=False)) == hints


def test_junit_report_has_a_failure_for_a_forgery_without_a_result() -> None:
    unseen = [not_observed(BY_SLUG[slug], "the time was up") for slug in ("no-signature", "old")]
    root = ET.fromstring(junit_report(CheckReport((passed(BY_SLUG["valid"], "202"), *unseen), 1.0, 5), "url"))  # noqa: S314
    assert {each.get("name"): [part.tag for part in each] for each in root.iter("testcase")} == {
        "valid": [],
        "no-signature": ["failure"],
        "old": ["skipped"],
    }
    assert (root.get("failures"), root.get("skipped")) == ("1", "1")


async def test_handler_that_works_but_never_responds_fails_and_is_judged_by_its_calls() -> None:
    async def works_silently(received: Received) -> web.Response:
        if not received.is_valid:
            return web.Response(status=401)
        await received.end_run()
        await asyncio.Event().wait()
        raise AssertionError

    proved = (*FORGED, "header-case", "at-once", "terminal")
    limits = LIMITS._replace(timeout_s=1.0)
    report = await check_with_sandbox(works_silently, "valid", *proved, limits=limits)

    assert statuses(report) == {"valid": "failed", **dict.fromkeys(proved, "passed")}
    assert report.findings[0].failure == "does its work, but never responds"


async def test_handler_that_never_responds_and_verifies_nothing_fails_by_its_calls() -> None:
    async def works_silently(received: Received) -> web.Response:
        await received.end_run()
        await asyncio.Event().wait()
        raise AssertionError

    limits = LIMITS._replace(timeout_s=0.5)
    report = await check_with_sandbox(works_silently, "valid", *FORGED, "old", limits=limits)

    assert wrong(report) == dict.fromkeys(("valid", *FORGED, "old"), "failed")


@pytest.mark.parametrize("delay_s", [0.3, pytest.param(2.5, marks=pytest.mark.extended)])
async def test_failed_work_for_a_forged_run_proves_that_it_was_accepted(delay_s: float) -> None:
    tasks = set[asyncio.Task[None]]()

    async def fails(received: Received) -> web.Response:
        async def work() -> None:
            await asyncio.sleep(delay_s)
            await received.end_run("FAILURE")

        tasks.add(asyncio.create_task(work()))
        await asyncio.sleep(delay_s / 50)  # the search for the mistake takes longer than the work
        return web.Response(status=500)

    report = await check_with_sandbox(fails, "valid", *FORGED)

    assert wrong(report) == dict.fromkeys(("valid", *FORGED), "failed")
    assert report.sent < (30 if delay_s < 1 else 80)


async def test_failed_work_after_verification_is_not_an_accepted_forgery() -> None:
    async def fails(received: Received) -> web.Response:
        if received.is_valid:
            await received.end_run("FAILURE")
        return web.Response(status=500)

    report = await check_with_sandbox(fails, "valid", *FORGED)

    assert statuses(report) == {"valid": "failed", "no-signature": "passed", "other-secret": "passed"}


async def test_milliseconds_are_only_a_warning_if_they_are_accepted() -> None:
    async def fails_later(request: web.Request) -> web.Response:
        body, stamp = await request.read(), request.headers.get("x-port-timestamp", "")
        is_known = len(stamp) == 13 and is_valid(request, body)
        return web.Response(status=400 if is_known else 401)

    report = await run_check(fails_later, "valid", *FORGED)

    assert statuses(report) == {"valid": "failed", "no-signature": "passed", "other-secret": "passed"}
    assert report.findings[0].seen.endswith("a valid request with a timestamp in milliseconds got 400 Bad Request")


async def test_rejection_that_the_sandbox_caused_proves_nothing_and_the_hint_shows_what_to_change() -> None:
    async def needs_an_entity(received: Received) -> web.Response:
        if not received.is_valid:
            return web.Response(status=401)
        found = await received.fetch_entity("service", "missing")
        return web.Response(status=202 if found else 422)

    report = await check_with_sandbox(needs_an_entity, "valid", *FORGED)

    assert statuses(report) == {"valid": "not-observed", "no-signature": "passed", "other-secret": "passed"}
    assert report.outcome() == "unproved"
    assert "after the sandbox rejected GET /v1/blueprints/service/entities/missing" in report.findings[0].seen
    assert "--input" in report.findings[0].fix


async def test_failure_of_every_valid_run_is_reported_with_its_summary() -> None:
    async def always_fails(received: Received) -> web.Response:
        if not received.is_valid:
            return web.Response(status=401)
        await received.end_run("FAILURE", summary="no such region")
        return web.Response(status=202)

    report = await check_with_sandbox(always_fails, *PROVED, "terminal", "once", "failure-reported")

    assert statuses(report) == {
        **PROVED,
        "terminal": "information",
        "once": "passed",
        "failure-reported": "not-observed",
    }
    terminal = next(each for each in report.findings if each.check.slug == "terminal")
    assert terminal.failure == "reports that every valid run failed"
    assert terminal.seen == "the result was FAILURE (no such region)"
    assert report.ok(strict=True)


async def test_closed_connection_without_work_is_a_rejection() -> None:
    async def closes(received: Received) -> web.Response:
        if not received.is_valid:
            raise ConnectionAbortedError
        await received.end_run()
        return web.Response(status=202)

    report = await check_with_sandbox(closes, *PROVED)

    assert statuses(report) == PROVED
