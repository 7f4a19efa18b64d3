"""The check, against handlers in this process: its findings, and its end despite any behavior of a handler."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

from port_hook_cli.actions.samples import create_vm
from port_hook_cli.check.catalog import selected
from port_hook_cli.check.checking import check
from port_hook_cli.check.findings import CheckReport, CheckStatus
from port_hook_cli.check.languages import Language
from port_hook_cli.check.means import CheckMeans
from port_hook_cli.check.plan import CheckLimits, CheckPlan, CheckWaits
from port_hook_cli.check.subject import CheckSubject, subject_of
from port_hook_cli.check.watching import OwnSandboxWatch, SandboxWatch
from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation, Status
from port_hook_cli.listener.responses import rejected
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.replay.rewriting import KeptReplay
from port_hook_cli.runtime import silent_runtime
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.text.secret import Secret
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with
from tests.servers import status_of

SECRET = Secret("an-example-and-no-secret")
WAITS = CheckWaits(late_s=0.1)
"""The waits for a handler that does nothing later."""
LIMITS = CheckLimits(within_s=30.0, timeout_s=5.0, waits=WAITS)
NO_CALLS = WAITS._replace(moment_s=0.1, first_call_s=0.1, late_call_s=0.1)
"""The waits for a handler that never calls the sandbox."""
RUN = "r_AAAAAAAAAAAAAAAA"
ORDINARY = create_vm(RUN, at="2026-01-01T00:00:00Z")["payload"]["properties"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[web.AppRunner]:
    app = web.Application(client_max_size=10 * 2**20)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner
    finally:
        await runner.cleanup()


@asynccontextmanager
async def handled(handler: Handler) -> AsyncIterator[str]:
    """Serve a handler on a free port, and yield its URL."""
    async with served(handler) as runner:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"


def subject_at(url: str, document: object | None = None) -> CheckSubject:
    body = json.dumps(document or create_vm(RUN, at="2026-01-01T00:00:00Z"), separators=(",", ":"), ensure_ascii=False)
    headers = Headers((("content-type", "application/json"),))
    request = Invocation(id="", received_at=0, method="POST", target="/", headers=headers, body=body.encode())
    return subject_of("create_vm", request, url)


def means(**others: object) -> CheckMeans:
    ids, clock = itertools.count(), asyncio.get_running_loop().time
    offset_s = time.time() - clock()
    return CheckMeans(
        client=lambda timeout_s: HttpClient(timeout_s=timeout_s),
        secret=SECRET,
        now=lambda: offset_s + clock(),  # a stall doesn't count toward a run's duration
        new_id=lambda: f"{next(ids):08x}",
        **others,  # type: ignore[arg-type]
    )


def is_valid(request: web.Request, body: bytes, secret: Secret = SECRET) -> bool:
    return status_of(request, body, secret) is Status.VALID


async def accepting(request: web.Request) -> web.Response:
    """Respond like a correct handler, and do nothing."""
    body = await request.read()
    if not is_valid(request, body):
        return web.Response(status=401)
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return web.Response(status=202 if isinstance(document, dict) else 422)


def synchronized() -> Any:
    document = json.loads(json.dumps(create_vm(RUN, at="2026-01-01T00:00:00Z")))
    document["payload"]["action"]["invocationMethod"]["synchronized"] = True
    return document


@asynccontextmanager
async def watched_sandbox(**options: Any) -> AsyncIterator[tuple[Sandbox, PortAccess, SandboxWatch]]:
    async with sandbox_with(**options) as sandbox:
        settings = Settings(api_url=sandbox.url, client_id=sandbox.client_id, client_secret=sandbox.client_secret)
        access = PortAccess.known(settings, silent_runtime())
        yield sandbox, access, OwnSandboxWatch(sandbox)


async def run_check(
    handler: Handler, *only: str, limits: CheckLimits = LIMITS, made: CheckMeans | None = None
) -> CheckReport:
    async with handled(handler) as url:
        plan = CheckPlan(slugs=selected(only), limits=limits)
        return await check(subject_at(url), made or means(), plan)


def statuses(report: CheckReport) -> dict[str, str]:
    return {finding.check.slug: str(finding.status) for finding in report.findings}


def wrong(report: CheckReport) -> dict[str, str]:
    return {finding.check.slug: str(finding.status) for finding in report.findings if finding.is_wrong}


async def test_correct_handler_passes_all_checks_that_need_no_sandbox() -> None:
    report = await run_check(accepting)

    assert wrong(report) == {}
    assert report.ok(strict=True)
    assert statuses(report)["old"] == "passed"
    unseen = {slug for slug, status in statuses(report).items() if status == "not-observed"}
    assert unseen >= {"terminal", "once", "after-work", "failure-reported", "same-run", "ten-runs"}
    assert "no sandbox" in next(each.seen for each in report.findings if each.check.slug == "terminal")


async def test_requests_of_findings_are_saved_as_replays() -> None:
    kept: list[Invocation] = []

    async def keep(request: Invocation, _: Delivery) -> KeptReplay:
        kept.append(request)
        return KeptReplay(request.id)

    async def careless(_: web.Request) -> web.Response:
        return web.Response(status=202)

    report = await run_check(careless, "no-signature", made=means(keep=keep))

    finding = next(each for each in report.findings if each.check.slug == "no-signature")
    baseline, *proofs = kept
    assert [proof.id for proof in proofs] == list(finding.captures)
    assert baseline.headers.get("user-agent") == "port-hook-check/valid"
    assert {proof.replay_of for proof in proofs} == {baseline.id}
    assert all("x-port-signature" not in proof.headers.without("user-agent") for proof in proofs)


async def _never(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def _forever(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 1000)
        await asyncio.sleep(0.01)


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": str(10 * 2**30)})
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65_536)


async def _closing(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _hangs_when_invalid(request: web.Request) -> web.Response:
    if is_valid(request, await request.read()):
        return web.Response(status=202)
    return await _never(request)


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(0.2)
    return await accepting(request)


async def test_check_ends_in_time_whatever_the_handler_does() -> None:
    began = time.monotonic()

    limits = CheckLimits(within_s=1.0, timeout_s=0.25)
    handlers = (_never, _forever, _huge, _closing, _hangs_when_invalid, _slow)
    reports = await asyncio.gather(*(run_check(handler, limits=limits) for handler in handlers))

    assert time.monotonic() - began < 1.0 + 12.0  # six checks at the same time
    for report in reports:
        assert report.count(CheckStatus.NOT_OBSERVED) > 0
        assert len(report.findings) == len({finding.check.slug for finding in report.findings})


async def test_check_ends_after_two_requests_when_the_handler_does_not_respond() -> None:
    report = await run_check(_never, limits=CheckLimits(within_s=30.0, timeout_s=0.2))

    assert report.sent == 2
    assert wrong(report) == {"valid": "failed"}


async def test_signature_checks_are_not_observed_when_every_response_is_500() -> None:
    async def failing(request: web.Request) -> web.Response:
        valid = is_valid(request, await request.read())
        return web.Response(status=500, text="connection refused" if valid else "Error: Invalid signature")

    report = await run_check(failing, "valid", "other-secret", "no-signature")

    assert statuses(report) == {"valid": "failed", "other-secret": "not-observed", "no-signature": "not-observed"}
    assert report.findings[0].failure == "fails on a valid request"


async def test_response_500_to_a_timestamp_in_the_other_unit_is_not_a_finding() -> None:
    async def reading(request: web.Request) -> web.Response:
        stamp = request.headers.get("x-port-timestamp", "")
        return web.Response(status=500) if len(stamp) > 10 else await accepting(request)

    report = await run_check(reading, "old", "rejection-status")

    assert statuses(report) == {"old": "passed", "rejection-status": "passed"}


async def test_failure_of_an_accepted_run_is_not_a_rejection() -> None:
    ended: set[str] = set()

    async def ending(request: web.Request) -> web.Response:
        run_id = json.loads(await request.read())["context"]["runId"]
        status = 500 if run_id in ended else 200
        ended.add(run_id)
        return web.Response(status=status)

    report = await run_check(ending, "default-secret", "rejection-status")

    assert statuses(report) == {"default-secret": "failed", "rejection-status": "not-observed"}


async def test_error_response_to_every_valid_request_is_a_failure() -> None:
    def answering(status: int) -> Handler:
        async def choosy(request: web.Request) -> web.Response:
            return web.Response(status=status if is_valid(request, await request.read()) else 401)

        return choosy

    failing, choosy = [await run_check(answering(status)) for status in (500, 422)]

    assert wrong(failing) == wrong(choosy) == {"valid": "failed"}
    assert statuses(failing)["other-secret"] == statuses(choosy)["other-secret"] == "passed"
    assert "--input" in choosy.findings[0].fix
    assert {each.check.slug for each in choosy.findings if each.is_gap} >= {"header-case", "survives"}


async def test_handler_is_checked_without_unknown_fields_when_it_rejects_them() -> None:
    known = set(create_vm(RUN, at=""))

    async def strict(request: web.Request) -> web.Response:
        response = await accepting(request)
        if response.status == 202 and not json.loads(await request.read()).keys() <= known:
            return web.Response(status=422)
        return response

    report = await run_check(strict)

    assert wrong(report) == {}
    assert statuses(report)["valid"] == "passed"
    assert statuses(report)["size"] == "not-observed"


async def test_listener_is_not_taken_for_the_handler() -> None:
    async def listener(request: web.Request) -> web.Response:
        body = await request.read()
        verdict = verify_signature(Headers.from_raw(request.raw_headers), body, SECRET, now=time.time())
        if str(verdict.status) == "valid":
            return web.Response(status=202)
        response = rejected(verdict)
        return web.Response(status=response.status, body=response.body, content_type="application/json")

    report = await run_check(listener, "valid", "old")

    assert statuses(report) == {"valid": "failed", "old": "not-observed"}
    assert "port-hook listen" in report.findings[0].failure


async def test_limited_rate_is_not_a_finding() -> None:
    left = iter(range(3))

    async def limiting(request: web.Request) -> web.Response:
        return await accepting(request) if next(left, None) is not None else web.Response(status=429)

    report = await run_check(limiting)

    assert "at-once" not in wrong(report)
    assert statuses(report)["other-secret"] == "not-observed"


async def _refuses_with_500(request: web.Request) -> web.Response:
    response = await accepting(request)
    return web.Response(status=500) if response.status == 401 else response


async def _limits_bodies(request: web.Request) -> web.Response:
    return web.Response(status=413) if len(await request.read()) > 50_000 else await accepting(request)


def _wants_later_timestamps() -> Handler:
    latest = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal latest
        response, stamp = await accepting(request), int(request.headers.get("x-port-timestamp", "0"))
        if response.status == 401 or stamp < latest:
            return web.Response(status=401)
        latest = stamp
        return response

    return handler


async def _fails_without_objects(request: web.Request) -> web.Response:
    response = await accepting(request)
    return web.Response(status=500) if response.status == 422 else response


async def test_defect_is_reported() -> None:
    defects: list[tuple[Handler, dict[str, str]]] = [
        (_refuses_with_500, {"rejection-status": "warning"}),
        (_limits_bodies, {"size": "failed"}),
        (_wants_later_timestamps(), {"order": "failed"}),
        (_fails_without_objects, {"not-json": "warning", "not-object": "warning"}),
    ]
    for handler, expected in defects:
        assert wrong(await run_check(handler, "valid", *expected)) == expected


async def test_check_ends_in_time_although_the_sandbox_stops_responding() -> None:
    async def sandbox(request: web.Request) -> web.Response:
        if request.method == "POST":  # for a token and for new runs
            return web.json_response({"accessToken": "an-example-token", "expiresIn": 3600})
        return await _never(request)

    async with handled(sandbox) as url:
        settings = Settings(api_url=url.removesuffix("/hook"), client_id="id", client_secret=SECRET)
        async with SandboxWatch.open(PortAccess.known(settings, silent_runtime())) as watch:
            clock = asyncio.get_running_loop().time
            began = clock()

            limits = CheckLimits(within_s=0.3, waits=CheckWaits(overtime_s=0.3))
            report = await run_check(accepting, "old", "order", limits=limits, made=means(watch=watch))

    assert clock() - began < 0.6 + 5.0
    assert {finding.seen for finding in report.findings} == {"the check reached its time limit"}


async def test_synchronous_handler_without_calls_is_judged_by_its_responses() -> None:
    async def run_synchronous(fails: int | None) -> dict[str, str]:
        async def synchronous(request: web.Request) -> web.Response:
            body = await request.read()
            if not is_valid(request, body):
                return web.Response(status=401)
            if json.loads(body)["payload"]["properties"]:
                return web.Response()
            assert request.transport is not None
            if fails is None:
                request.transport.close()
            return web.Response(status=fails or 500)

        async with watched_sandbox() as (_, __, watch), handled(synchronous) as url:
            limits = LIMITS._replace(waits=NO_CALLS)
            plan = CheckPlan(slugs=selected(("order", "same-run", "sync-status")), limits=limits)
            return statuses(await check(subject_at(url, synchronized()), means(watch=watch), plan))

    found = await asyncio.gather(*map(run_synchronous, (422, None, 202)))
    assert [each.pop("sync-status") for each in found] == ["passed", "passed", "not-observed"]
    assert found == [{"order": "passed", "same-run": "not-observed"}] * 3


async def test_check_without_an_accepted_request_shows_the_response_to_the_valid_request() -> None:
    async def gone(_: web.Request) -> web.Response:
        return web.Response(status=410)

    report = await run_check(gone, "old", "size")
    assert {finding.check.slug: finding.seen for finding in report.findings} == {
        "valid": "a valid request got 410 Gone",
        "old": "a valid request got 410 Gone, so a rejected request proves nothing",
        "size": "a valid request got 410 Gone",
    }


async def test_response_200_is_a_rejection_when_it_differs_from_the_response_to_a_valid_request() -> None:
    async def polite(request: web.Request) -> web.Response:
        return web.json_response({"ok": is_valid(request, await request.read())})

    report = await run_check(polite, "signature")

    assert wrong(report) == {"rejection-status": "warning"}
    assert statuses(report)["no-signature"] == "passed"


async def test_response_200_with_new_content_each_time_is_not_a_rejection() -> None:
    words = itertools.product("abcdefgh", repeat=3)

    async def talkative(_: web.Request) -> web.Response:
        return web.Response(text="".join(next(words)))

    report = await run_check(talkative, "no-signature", "other-secret", "rejection-status")

    assert wrong(report) == {"no-signature": "failed", "other-secret": "failed"}


async def test_same_200_for_every_request_does_not_blame_the_secret() -> None:
    async def careless(_: web.Request) -> web.Response:
        return web.json_response({"message": "signature not checked"})

    report = await run_check(careless, "signature")

    assert wrong(report) == {"valid": "failed"}
    assert report.findings[0].failure == "responds with 200 OK to every request, valid or forged"
    assert "so a rejected request proves nothing" not in str(report.findings)


async def test_work_for_one_request_only_is_not_a_finding() -> None:
    begun: list[bytes] = []

    async def creating(request: web.Request) -> web.Response:
        body = await request.read()
        if not is_valid(request, body):
            return web.Response(status=401)
        begun.append(body)
        return web.Response(status=200 if len(begun) == 1 else 500)

    report = await run_check(
        creating, "charset", "size", "slow", "at-once", "cut-off", "order", "old", "unknown-action"
    )

    assert wrong(report) == {}
    others = {slug: status for slug, status in statuses(report).items() if slug != "old"}
    assert set(others.values()) == {"not-observed"}
    assert statuses(report)["old"] == "passed"  # 401, unlike the response to a valid request
    assert "maybe because its work can be done only once" in report.findings[-1].seen


async def test_sequential_handler_responds_to_all_concurrent_requests() -> None:
    turn = asyncio.Lock()

    async def alone(request: web.Request) -> web.Response:
        async with turn:
            await asyncio.sleep(0.06)
            return await accepting(request)

    report = await run_check(alone, "at-once", "other-secret", limits=CheckLimits(within_s=30.0, timeout_s=1.0))

    assert wrong(report) == {}
    assert set(statuses(report).values()) == {"passed"}


Report = Callable[[Sandbox, PortAccess, str], Awaitable[None]]


async def run_check_of_reports(report: Report, *only: str, **waits: float) -> CheckReport:
    """Check a handler that responds with 200 to everything, and calls `report` with the run of a valid request."""
    async with watched_sandbox() as (sandbox, access, watch):
        working: set[asyncio.Task[None]] = set()

        async def polite(request: web.Request) -> web.Response:
            body = await request.read()
            if is_valid(request, body, sandbox.client_secret):
                run_id = json.loads(body)["context"]["runId"]
                working.add(asyncio.ensure_future(report(sandbox, access, run_id)))
            return web.Response(status=200)

        async with handled(polite) as url:
            made = means(watch=watch)._replace(secret=sandbox.client_secret)
            plan = CheckPlan(slugs=selected(only), limits=LIMITS._replace(waits=WAITS._replace(**waits)))
            found = await check(subject_at(url), made, plan)
            await asyncio.gather(*working)
            return found


async def _succeed(_: Sandbox, access: PortAccess, run_id: str) -> None:
    async with access.client() as api:
        await api.patch_run(run_id, {"status": "SUCCESS"})


async def test_first_call_may_come_after_the_other_checks() -> None:
    async def succeed_late(sandbox: Sandbox, access: PortAccess, run_id: str) -> None:
        await asyncio.sleep(0.25)
        await _succeed(sandbox, access, run_id)

    waits = {"moment_s": 0.1, "first_call_s": 0.1}
    report = await run_check_of_reports(succeed_late, "terminal", "once", "after-work", **waits)

    assert set(statuses(report).values()) == {"passed"}


async def test_missing_report_is_a_warning_that_explains_how_to_find_the_sandbox() -> None:
    async def forget(_: Sandbox, __: PortAccess, ___: str) -> None:
        pass

    report = await run_check_of_reports(forget, "terminal", "once", **NO_CALLS._asdict())

    assert statuses(report) == {"terminal": "warning", "once": "not-observed"}
    assert report.findings[0].seen == "no report reached the sandbox, so in Port the run would stay IN_PROGRESS"
    assert "PORT_API_URL" in report.findings[0].fix
    assert report.findings[1].seen == "the handler did not call the sandbox within 0 seconds"


async def test_call_without_a_token_is_the_fix_of_a_missing_report() -> None:
    async def succeed_unauthorized(sandbox: Sandbox, _: PortAccess, run_id: str) -> None:
        async with ClientSession() as session:
            await session.patch(f"{sandbox.url}/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})

    report = await run_check_of_reports(succeed_unauthorized, "terminal", end_s=0.5)

    assert wrong(report) == {"terminal": "failed"}
    assert "with 401" in report.findings[0].seen
    assert "/auth/access_token" in report.findings[0].fix


async def test_response_200_without_effect_is_a_rejection_if_the_sandbox_sees_the_work() -> None:
    report = await run_check_of_reports(_succeed, "other-secret", "rejection-status", "terminal")

    assert wrong(report) == {"rejection-status": "warning"}
    assert statuses(report)["other-secret"] == "passed"
    assert statuses(report)["terminal"] == "passed"


async def test_time_limit_is_not_a_finding() -> None:
    report = await run_check(_slow, "form", limits=CheckLimits(within_s=0.8))

    assert wrong(report) == {}
    assert "the check reached its time limit" in {finding.seen for finding in report.findings}


async def test_quick_rejection_does_not_shorten_the_wait_for_the_work() -> None:
    async def works_long(request: web.Request) -> web.Response:
        response = await accepting(request)
        if response.status == 202:
            await asyncio.sleep(0.3)  # longer than the wait after quick responses
        return response

    limits = LIMITS._replace(waits=WAITS._replace(least_timeout_s=0.2))
    assert statuses(await run_check(works_long, "valid", limits=limits)) == {"valid": "passed"}


async def test_finding_reports_missing_verification_when_every_forgery_is_accepted() -> None:
    async def trusting(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=202)

    report = await run_check(trusting, "signature")
    finding = next(each for each in report.findings if each.check.slug == "no-signature")
    assert finding.failure == "does not verify signatures and accepts every forged request"
    (alone,) = (await run_check(trusting, "no-signature")).findings
    assert alone.failure == "accepts a request without a signature"


async def test_handler_fails_the_check_when_an_unusual_request_locks_it() -> None:
    latest = 0

    async def remembers_any_timestamp(request: web.Request) -> web.Response:
        nonlocal latest
        timestamp = int(request.headers.get("x-port-timestamp", 0))
        if timestamp < latest:
            return web.Response(status=401)
        latest = timestamp
        return await accepting(request)

    report = await run_check(remembers_any_timestamp, "valid", "valid-milliseconds", "form", "survives")

    assert wrong(report) == {"survives": "failed"}
    finding = next(each for each in report.findings if each.check.slug == "survives")
    assert finding.failure == "rejects valid requests after an unusual one"
    assert finding.seen.startswith("a valid request after a request with ")
    assert statuses(report)["charset"] == "not-observed"


async def test_split_character_shows_decoding_in_pieces() -> None:
    async def decodes_pieces(request: web.Request) -> web.Response:
        body = "".join([piece.decode(errors="replace") async for piece in request.content.iter_any()])
        return web.Response(status=202 if is_valid(request, body.encode()) else 401)

    assert wrong(await run_check(decodes_pieces, "valid", "slow", "header-case")) == {"slow": "warning"}


async def test_bad_input_is_an_unreported_failure_when_it_breaks_the_connection() -> None:
    async with watched_sandbox() as (sandbox, access, watch), access.client(retries=False) as api:

        async def breaks(request: web.Request) -> web.Response:
            body = await request.read()
            if not is_valid(request, body, sandbox.client_secret):
                return web.Response(status=401)
            document = json.loads(body)
            if document["payload"]["properties"] != ORDINARY and request.transport is not None:
                request.transport.close()
            else:
                await api.patch_run(document["context"]["runId"], {"status": "SUCCESS"})
            return web.Response(status=202)

        made = means(watch=watch)._replace(secret=sandbox.client_secret)
        report = await run_check(breaks, "terminal", "failure-reported", made=made)
    assert wrong(report) == {"failure-reported": "failed"}


async def test_search_announces_the_run_of_each_request_to_a_strict_sandbox() -> None:
    reported: list[int] = []
    async with watched_sandbox(strict_runs=True) as (sandbox, _, watch), a_client(sandbox) as api:

        async def verifies_hex(request: web.Request) -> web.Response:
            body = await request.read()
            expected = hmac.digest(sandbox.client_secret.reveal().encode(), body, "sha256").hex()
            if request.headers.get("x-port-signature") != expected:
                return web.Response(status=401)
            run_id = json.loads(body)["context"]["runId"]
            done = await api.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})
            reported.append(done.status_code)
            return web.Response(status=202)

        made = means(watch=watch)._replace(secret=sandbox.client_secret)
        report = await run_check(verifies_hex, "valid", made=made)
    assert wrong(report) == {"valid": "failed"}
    assert set(reported) == {200}


async def test_second_request_of_an_accepted_run_is_not_malformed() -> None:
    runs = set[str]()

    async def ignores_the_age(request: web.Request) -> web.Response:
        body = await request.read()
        if status_of(request, body, SECRET) not in {Status.VALID, Status.STALE}:
            return web.Response(status=401)
        run_id = json.loads(body)["context"]["runId"]
        if run_id in runs and request.transport is not None:
            request.transport.close()  # an error that nothing catches: the run has ended
        runs.add(run_id)
        return web.Response(status=202)

    assert wrong(await run_check(ignores_the_age, "old", "survives")) == {"old": "failed"}


@asynccontextmanager
async def restarted_at_each_third_request() -> AsyncIterator[str]:
    """Serve a correct handler that ends at its third request without a response, and restarts after a moment."""
    count = 0
    restarting: set[asyncio.Task[None]] = set()

    async def fragile(request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        await request.read()
        if count % 3 == 0:
            assert request.transport is not None
            request.transport.abort()
            for site in [*runner.sites]:  # none while it restarts
                await site.stop()
                restarting.add(asyncio.ensure_future(restart()))
        return await accepting(request)

    async def restart() -> None:
        await asyncio.sleep(0.02)
        await web.TCPSite(runner, "127.0.0.1", port).start()

    async with served(fragile) as runner:
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}/hook"
        finally:
            await asyncio.gather(*restarting, return_exceptions=True)


async def test_stops_of_a_restarted_handler_are_one_finding() -> None:
    async with restarted_at_each_third_request() as url:
        report = await check(subject_at(url), means(), CheckPlan(limits=LIMITS))

    assert wrong(report) == {"survives": "failed"}
    finding = next(each for each in report.findings if each.is_wrong)
    assert finding.failure == "stops while it serves requests"
    assert finding.seen.startswith("it stopped ")
    assert " times, after a second valid request, " in finding.seen


async def test_each_malformed_request_has_its_own_run() -> None:
    runs: list[str] = []

    async def remembering(request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("user-agent") == "port-hook-check/survives" and body.startswith(b'{"action'):
            runs.append(json.loads(body)["context"]["runId"])
        return web.Response(status=202 if is_valid(request, body) else 401)

    await run_check(remembering, "survives")

    assert len(runs) >= 5
    assert len(set(runs)) == len(runs)


async def reads_the_beginning(request: web.Request) -> web.Response:
    body = (await request.read())[:50_000]
    return web.Response(status=202 if is_valid(request, body) else 401)


async def reads_one_piece(request: web.Request) -> web.Response:
    return web.Response(status=202 if is_valid(request, await request.content.readany()) else 401)


async def test_rejected_signature_is_not_about_the_size_or_the_speed_of_the_body() -> None:
    cases: list[tuple[Handler, str, str, str]] = [
        (reads_the_beginning, "size", "a large body", "In Go: `io.ReadAll(request.Body)`."),
        (reads_one_piece, "slow", "a body that arrives in pieces", "Join its pieces as bytes before you decode them."),
    ]
    for handler, slug, what, fix in cases:
        report = await run_check(handler, "valid", slug, made=means(language=Language.GO))
        (finding,) = [each for each in report.findings if each.is_wrong]
        assert finding.failure == f"rejects the signature of {what}"
        assert finding.fix.endswith(fix)
