"""Handlers whose responses contradict their effects, which only the sandbox shows."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiohttp import web

from port_hook_cli.check.catalog import selected
from port_hook_cli.check.checking import check
from port_hook_cli.check.findings import CheckReport
from port_hook_cli.check.plan import CheckLimits, CheckPlan, CheckWaits
from port_hook_cli.errors import PortApiError
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.port_api.client import PortApi
from port_hook_cli.replay.rewriting import KeptReplay
from port_hook_cli.replay.sending import Keep
from tests.check.test_checking import (
    LIMITS,
    NO_CALLS,
    WAITS,
    handled,
    is_valid,
    means,
    statuses,
    subject_at,
    synchronized,
    watched_sandbox,
    wrong,
)


class Received(NamedTuple):
    """A request, for the handlers of these tests."""

    body: bytes
    is_valid: bool
    api: PortApi

    @property
    def document(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def run_id(self) -> str | None:
        context = self.document.get("context") if isinstance(self.document, dict) else None
        return context["runId"] if isinstance(context, dict) else None

    async def fetch_entity(self, blueprint: str, identifier: str) -> bool:
        """Return whether Port has the entity."""
        try:
            await self.api.call("GET", f"/v1/blueprints/{blueprint}/entities/{identifier}")
        except PortApiError:
            return False
        return True

    async def end_run(self, status: str = "SUCCESS", summary: str = "") -> None:
        if self.run_id is not None:
            with suppress(PortApiError):  # it has ended
                await self.api.patch_run(self.run_id, {"status": status, "summary": summary})


async def check_with_sandbox(
    respond: Callable[[Received], Awaitable[web.Response]],
    *only: str,
    document: object | None = None,
    keep: Keep | None = None,
    limits: CheckLimits = LIMITS,
) -> CheckReport:
    """Check a handler that calls a sandbox. `document` is the payload, the sample without it."""
    async with watched_sandbox() as (sandbox, access, watch), access.client(retries=False) as api:

        async def handler(request: web.Request) -> web.Response:
            body = await request.read()
            try:
                return await respond(Received(body, is_valid(request, body, sandbox.client_secret), api))
            except ConnectionAbortedError:
                assert request.transport is not None
                request.transport.close()
                return web.Response()

        async with handled(handler) as url:
            made = means(watch=watch, keep=keep)._replace(secret=sandbox.client_secret)
            plan = CheckPlan(slugs=selected(only), limits=limits)
            return await check(subject_at(url, document), made, plan)


@asynccontextmanager
async def a_queue(work_s: float, *, later_s: float | None = None) -> AsyncIterator[asyncio.Queue[Received]]:
    """Yield a queue whose worker ends one run after the other, each after `work_s` seconds.

    After the first two runs, the worker takes `later_s` seconds.
    """
    queue = asyncio.Queue[Received]()

    async def work() -> None:
        for number in itertools.count():
            received = await queue.get()
            await asyncio.sleep(work_s if number < 2 or later_s is None else later_s)
            await received.end_run()

    worker = asyncio.create_task(work())
    try:
        yield queue
    finally:
        worker.cancel()


async def test_effect_without_a_run_does_not_turn_200_into_a_rejection() -> None:
    async def creates_an_entity_for_anybody(received: Received) -> web.Response:
        await received.api.call("POST", "/v1/blueprints/service/entities?upsert=true", {"identifier": "a"})
        return web.Response(status=200)

    only = ("same-run-at-once", "other-secret", "no-signature")
    report = await check_with_sandbox(creates_an_entity_for_anybody, *only, document=synchronized())

    assert wrong(report) == {"same-run-at-once": "warning", "other-secret": "failed", "no-signature": "failed"}


async def test_response_200_is_not_a_rejection_while_the_work_waits_in_a_queue() -> None:
    async with a_queue(0.03) as queue:

        async def queues_anything(received: Received) -> web.Response:
            queue.put_nowait(received)
            return web.Response(status=202)

        report = await check_with_sandbox(queues_anything, "at-once", "terminal", "other-secret", "no-signature")

    assert wrong(report) == {"other-secret": "failed", "no-signature": "failed"}


async def test_response_is_not_a_rejection_when_the_work_was_done_before_it() -> None:
    async def works_first(received: Received) -> web.Response:
        await received.end_run()
        return web.Response(status=202 if received.is_valid else 401)

    report = await check_with_sandbox(works_first, "terminal", "other-secret", "no-signature")

    assert wrong(report) == {"other-secret": "failed", "no-signature": "failed"}
    seen = {finding.check.slug: finding.seen for finding in report.findings}
    assert seen["other-secret"] == (
        "a request signed with another secret got 401 Unauthorized, but the handler did its work"
    )


async def test_rejection_reported_as_a_failed_run_is_a_rejection() -> None:
    async def reports_refusals(received: Received) -> web.Response:
        await received.end_run("SUCCESS" if received.is_valid else "FAILURE")
        return web.Response(status=202)

    report = await check_with_sandbox(reports_refusals, "terminal", "other-secret", "body-changed", "rejection-status")

    assert wrong(report) == {"rejection-status": "warning"}
    assert statuses(report)["other-secret"] == "passed"


async def test_word_error_in_every_response_of_a_synchronous_run_is_not_a_failure() -> None:
    async def always_good(received: Received) -> web.Response:
        return web.json_response({"ok": True, "errors": []}, status=200 if received.is_valid else 401)

    limits = LIMITS._replace(waits=NO_CALLS)
    report = await check_with_sandbox(always_good, "sync-status", document=synchronized(), limits=limits)

    assert statuses(report) == {"sync-status": "not-observed"}


class _Late:
    """A handler that responds, reports the run, and does something else about it `after_s` seconds later."""

    def __init__(
        self, after_s: float, late: Callable[[Received], Awaitable[None]], *, only_again: bool = False
    ) -> None:
        self._after_s, self._late, self._only_again = after_s, late, only_again
        self._runs = set[str | None]()
        self._tasks = set[asyncio.Task[None]]()

    async def __call__(self, received: Received) -> web.Response:
        if not received.is_valid:
            return web.Response(status=401)
        is_new = received.run_id not in self._runs
        self._runs.add(received.run_id)
        if is_new:
            await received.end_run()
        if is_new is not self._only_again:
            self._tasks.add(asyncio.create_task(self._work(received)))
        return web.Response(status=202)

    async def _work(self, received: Received) -> None:
        await asyncio.sleep(self._after_s)
        await self._late(received)


async def test_second_report_is_seen_although_it_comes_late() -> None:
    limits = LIMITS._replace(waits=CheckWaits())
    report = await check_with_sandbox(_Late(0.4, Received.end_run), "once", limits=limits)
    assert wrong(report) == {"once": "failed"}


async def test_work_for_a_rejected_forgery_is_seen_although_it_comes_late() -> None:
    working = set[asyncio.Task[None]]()

    async def works_for_anybody(received: Received) -> web.Response:
        async def work() -> None:
            await asyncio.sleep(0.3)
            await received.end_run()

        working.add(asyncio.create_task(work()))
        return web.Response(status=202 if received.is_valid else 401)

    limits = LIMITS._replace(waits=CheckWaits(moment_s=0.1))
    report = await check_with_sandbox(works_for_anybody, "no-signature", "other-secret", "terminal", limits=limits)
    assert wrong(report) == {"no-signature": "failed", "other-secret": "failed"}
    assert "did its work" in report.findings[0].seen


async def test_work_for_a_second_delivery_is_seen_although_it_comes_late() -> None:
    limits = LIMITS._replace(waits=CheckWaits())
    report = await check_with_sandbox(_Late(0.4, Received.end_run, only_again=True), "same-run", limits=limits)
    assert wrong(report) == {"same-run": "warning"}


async def test_rejected_report_before_the_result_does_not_count_as_a_result() -> None:
    async def misspells_first(received: Received) -> web.Response:
        if not received.is_valid:
            return web.Response(status=401)
        await received.end_run("DONE")
        await received.end_run()
        return web.Response(status=202)

    assert wrong(await check_with_sandbox(misspells_first, "terminal", "once")) == {}


async def test_node_run_needs_a_result() -> None:
    async def check_node(*reports: dict[str, str]) -> CheckReport:
        async def responds(received: Received) -> web.Response:
            if not received.is_valid:
                return web.Response(status=401)
            for fields in reports:
                await received.api.patch_run(received.document["nodeRunId"], fields)
            return web.Response(status=202)

        limits = LIMITS._replace(waits=WAITS._replace(end_s=0.5))
        document = {"nodeRunId": "wfnr_AAAAAAAAAAAAAAAA"}
        return await check_with_sandbox(responds, "node-result", "once", document=document, limits=limits)

    working, done = {"status": "IN_PROGRESS"}, {"status": "COMPLETED", "result": "SUCCESS"}
    unfinished, finished = await check_node(working), await check_node(working, done)
    assert statuses(unfinished) == {"node-result": "failed", "once": "not-observed"}
    assert unfinished.findings[-1].seen.startswith("the last of 1 calls was PATCH /v1/workflows/nodes/runs/wfnr_")
    assert statuses(finished) == {"node-result": "passed", "once": "passed"}


def _queues_valid_runs(queue: asyncio.Queue[Received]) -> Callable[[Received], Awaitable[web.Response]]:
    async def respond(received: Received) -> web.Response:
        if not received.is_valid:
            return web.Response(status=401)
        queue.put_nowait(received)
        return web.Response(status=202)

    return respond


async def test_sequential_handler_does_not_lose_runs() -> None:
    async with a_queue(0.07) as queue:
        report = await check_with_sandbox(_queues_valid_runs(queue), "at-once", "order")
    assert statuses(report) == {"at-once": "passed", "order": "passed"}


async def test_handler_with_a_long_queue_does_not_lose_runs_while_it_reports_others() -> None:
    async with a_queue(0.05, later_s=0.4) as queue:
        report = await check_with_sandbox(_queues_valid_runs(queue), "order")
    assert statuses(report) == {"order": "passed"}


async def test_run_is_not_lost_when_time_is_up() -> None:
    async with a_queue(0.05, later_s=60.0) as queue:
        limits = LIMITS._replace(within_s=0.5)
        report = await check_with_sandbox(_queues_valid_runs(queue), "order", limits=limits)
    assert statuses(report) == {"order": "not-observed"}
    assert report.findings[0].seen == "the check reached its time limit"


async def test_failed_run_is_a_gap_when_the_handler_does_not_respond_to_forged_requests() -> None:
    async def hangs(received: Received) -> web.Response:
        if not received.is_valid:
            await asyncio.Event().wait()
        await received.end_run()
        return web.Response(status=202)

    limits = LIMITS._replace(timeout_s=0.3)
    report = await check_with_sandbox(hangs, "no-signature", "empty-value", "failure-reported", limits=limits)
    finding = next(each for each in report.findings if each.check.slug == "failure-reported")
    assert (finding.seen, finding.is_gap) == ("the handler did not respond to earlier requests", True)


async def test_longer_time_limit_allows_for_work_that_takes_longer() -> None:
    async with a_queue(0.25) as queue:
        limits = CheckLimits(within_s=6000.0, waits=NO_CALLS)
        report = await check_with_sandbox(_queues_valid_runs(queue), "terminal", limits=limits)
    assert statuses(report) == {"terminal": "passed"}


async def test_finding_about_a_report_contains_the_capture_of_the_run() -> None:
    ids = itertools.count()

    async def keep(_: Invocation, __: Delivery) -> KeptReplay:
        return KeptReplay(f"kept-{next(ids)}")

    report = await check_with_sandbox(_Late(0.0, Received.end_run), "once", keep=keep)
    assert [each.captures for each in report.findings] == [("kept-0",)]
