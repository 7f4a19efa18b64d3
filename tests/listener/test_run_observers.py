"""The observers that report runs and follow them: `listen --report` and `--follow`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from port_hook_cli.invocations.models import Capture, Delivery, Response, Status, Verdict
from port_hook_cli.listener.ended_runs import EndedRuns
from port_hook_cli.listener.observers import Observer
from port_hook_cli.listener.port_runs import MAX_FOLLOWED, RunFollower, RunReporter
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.port_api.client import PortApi
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runs.updates import RunStatus
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.causes import REPLAYED
from port_hook_cli.text.secret import Secret
from tests.factories import RUN_ID, a_body, a_capture, a_document, an_invocation
from tests.flaky_port import Fault, FlakyPort
from tests.port_clients import port_client
from tests.sandboxes import sandbox_with

FINE = Response(status=200)
BROKEN = Response(status=503)


class Screen(Observer):
    """Records what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.events: list[Mapping[str, Any]] = []
        self.changed = asyncio.Event()

    def notice(self, text: str) -> None:
        self.notices.append(text)
        self.changed.set()

    def event(self, record: Mapping[str, Any]) -> None:
        self.events.append({key: value for key, value in record.items() if key != "schema"})

    async def told(self, words: str) -> None:
        async with asyncio.timeout(30):
            while not any(words in notice for notice in self.notices):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def port() -> AsyncIterator[FlakyPort]:
    async with FlakyPort().serve() as running:
        yield running


def reporter(port: FlakyPort, screen: Screen, status: RunStatus = RunStatus.SUCCESS) -> RunReporter:
    return RunReporter(status, lambda: client(port), screen, set())


def client(port: FlakyPort) -> PortApi:
    return port_client(api_url=port.url, client_id="id", client_secret=Secret("s" * 20))


def capture_of(document: Mapping[str, Any], response: Response = FINE, **overrides: Any) -> Capture:
    body = a_body(document)
    return a_capture(an_invocation(body), response=response, **overrides)


def of_run(run_id: str) -> Capture:
    return capture_of({"context": {"runId": run_id}})


async def finish(observer: Observer, *captures: Capture) -> None:
    """Tell the observer about captures, and wait until it has finished."""
    for capture in captures:
        observer.captured(capture)
    async with asyncio.timeout(30):
        await observer.finish(asyncio.Event())


# --- reporting ------------------------------------------------------------------------------------------------------


async def test_reporter_ends_a_run_after_the_response(port: FlakyPort) -> None:
    cases = [
        (RunStatus.SUCCESS, FINE, "SUCCESS"),
        (RunStatus.SUCCESS, BROKEN, "FAILURE"),
        (RunStatus.FAILURE, FINE, "FAILURE"),
    ]
    for wanted, response, status in cases:
        port.run["status"] = "IN_PROGRESS"
        screen = Screen()
        await finish(reporter(port, screen, wanted), a_capture(response=response))
        assert port.run["status"] == status
        assert screen.notices == [f"Reported {RUN_ID}: {status} (--report)"]
        assert screen.events == [{"type": "report", "run_id": RUN_ID, "status": status, "error": None}]


async def test_reporter_shows_in_the_summary_why_the_handler_failed(port: FlakyPort) -> None:
    observer = reporter(port, Screen())
    delivery = Delivery(url="http://127.0.0.1:1", fault="unreachable", error="nothing listens there")
    await finish(observer, a_capture(response=Response(status=502), delivery=delivery))
    bodies = [call.body for call in port.calls if call.method == "PATCH"]
    assert bodies[0] == {"summary": "The handler did not respond: nothing listens there."}


async def test_run_of_an_unverified_request_is_neither_reported_nor_followed(port: FlakyPort) -> None:
    others = [Verdict(status=status) for status in Status if status not in {Status.VALID, Status.REENCODED}]
    captures = [
        a_capture(response=Response(status=401), rejected=True),
        *(a_capture(response=FINE, verdict=verdict) for verdict in others),
        a_capture(response=FINE, verdict=Verdict(status=Status.VALID, causes=(REPLAYED,))),
        a_capture(response=None),
        capture_of({"action": "x"}),
    ]
    await finish(reporter(port, Screen()), *captures)
    await finish(RunFollower(lambda: client(port), Screen(), set(), timeout_s=9), *captures)
    assert port.calls == []


async def test_reporter_does_not_report_a_synchronized_run(port: FlakyPort) -> None:
    document = a_document()
    document["payload"]["action"]["invocationMethod"]["synchronized"] = True
    observer = reporter(port, Screen())
    await finish(observer, capture_of(document))
    assert port.calls == []


async def test_reporter_prints_a_notice_when_the_handler_has_reported_the_run(port: FlakyPort) -> None:
    port.run["status"] = "SUCCESS"
    screen, settled = Screen(), set[str]()
    observer = RunReporter(RunStatus.FAILURE, lambda: client(port), screen, settled)
    await finish(observer, a_capture(response=FINE))
    assert "has already ended with SUCCESS" in screen.notices[0]
    assert settled == {RUN_ID}


async def test_reporter_shows_a_failure_and_reports_the_next_run(port: FlakyPort) -> None:
    port.script += [Fault(status=404)] * 2  # the second is the report's own
    screen = Screen()
    observer = reporter(port, screen)
    await finish(observer, *[a_capture(response=FINE)] * 2)
    assert screen.notices[0].startswith(f"error: {RUN_ID} was not reported: Port's API responded with 404")
    assert screen.notices[1] == f"Reported {RUN_ID}: SUCCESS (--report)"


# --- following ------------------------------------------------------------------------------------------------------


def follower(port: FlakyPort, screen: Screen, *, timeout_s: float = 20, settled: set[str] | None = None) -> RunFollower:
    return RunFollower(lambda: client(port), screen, set() if settled is None else settled, timeout_s=timeout_s)


async def test_follower_shows_logs_and_status_until_the_run_ends(port: FlakyPort) -> None:
    screen, settled = Screen(), set[str]()
    observer = follower(port, screen, settled=settled)
    port.logs.append("one\n\x1b[2J")
    observer.captured(a_capture(response=FINE))
    await screen.told("log: one")
    port.logs.append("two")
    port.run["status"] = "SUCCESS"
    await finish(observer)
    assert screen.notices == [
        f"{RUN_ID}: log: one",
        f"{RUN_ID}: log: \x1b[2J",  # the screen makes it printable
        f"{RUN_ID}: log: two",
        f"{RUN_ID}: SUCCESS",
    ]
    assert [event["type"] for event in screen.events] == ["run_log", "run_log", "run"]
    assert settled == {RUN_ID}


async def test_follower_lists_the_runs_without_a_report(port: FlakyPort) -> None:
    screen = Screen()
    observer = follower(port, screen, timeout_s=0.2)
    await finish(observer, a_capture(response=FINE))
    assert screen.notices == [
        f"{RUN_ID} did not end within 0.2 s (--follow).",
        f"Followed, but not reported by the handler: {RUN_ID}",
    ]


async def test_follower_ignores_a_run_when_its_handler_failed(port: FlakyPort) -> None:
    observer = follower(port, Screen())
    await finish(observer, a_capture(response=BROKEN))
    assert port.calls == []


async def test_follower_stops_immediately_when_it_is_interrupted(port: FlakyPort) -> None:
    screen, interrupted = Screen(), asyncio.Event()
    observer = follower(port, screen, timeout_s=600)
    observer.captured(a_capture(response=FINE))
    interrupted.set()
    async with asyncio.timeout(30):
        await observer.finish(interrupted)
    assert screen.notices[-1] == f"Followed, but not reported by the handler: {RUN_ID}"


async def test_follower_watches_20_runs_at_a_time_and_counts_the_others(port: FlakyPort) -> None:
    screen = Screen()
    observer = follower(port, screen, timeout_s=0.1)
    for number in range(MAX_FOLLOWED + 3):
        observer.captured(of_run(f"r_{number:016d}"))
    await finish(observer, of_run("r_0000000000000000"))
    assert "note: 3 runs were not followed: --follow watches 20 at a time." in screen.notices
    assert len({call.path for call in port.calls if not call.path.partition("?")[0].endswith("/logs")}) == MAX_FOLLOWED


async def test_follower_shows_an_error_of_port_and_stops(port: FlakyPort) -> None:
    port.script.append(Fault(status=404))
    screen = Screen()
    observer = follower(port, screen)
    await finish(observer, a_capture(response=FINE))
    assert f"error: {RUN_ID} is no longer followed: Port's API responded with 404" in screen.notices[0]


async def test_follower_prints_a_note_about_a_node_run_without_its_workflow_run(port: FlakyPort) -> None:
    screen = Screen()
    observer = follower(port, screen)
    await finish(observer, capture_of({"nodeRunId": "wfnr_0123456789abcdef"}))
    assert [notice.partition(":")[2] for notice in screen.notices] == [
        " wfnr_0123456789abcdef is not followed: the payload does not contain its workflow run."
    ]
    assert port.calls == []


async def test_follower_shows_the_result_of_a_node_run(port: FlakyPort) -> None:
    node = {
        "identifier": "wfnr_0123456789abcdef",
        "status": "COMPLETED",
        "result": "FAILED",
        "node": {"identifier": "x"},
    }
    port.run = {"identifier": "wfr_0123456789abcdef", "status": "IN_PROGRESS", "nodeRuns": [node]}
    screen, settled = Screen(), set[str]()
    observer = follower(port, screen, settled=settled)
    observer.captured(
        capture_of({"context": {"workflowRunId": "wfr_0123456789abcdef", "nodeRunId": "wfnr_0123456789abcdef"}})
    )
    await finish(observer)
    assert screen.notices == ["wfnr_0123456789abcdef: COMPLETED (FAILED)"]
    assert settled == {"wfnr_0123456789abcdef"}


async def test_sandbox_is_asked_about_runs_without_creating_them(plain_runtime: Runtime) -> None:
    for strict_runs in (False, True):
        ended, still_open, unknown, unknown_node = RUN_ID, RUN_ID[:-1] + "Y", RUN_ID[:-1] + "Z", "wfnr_0123456789abcdef"
        settled, certain = set[str](), set[str]()
        async with sandbox_with(runs=[ended, still_open], strict_runs=strict_runs) as sandbox:
            settings = Settings(client_id=sandbox.client_id, client_secret=sandbox.client_secret, api_url=sandbox.url)
            access = PortAccess.known(settings, plain_runtime)
            async with access.client() as api:
                await api.patch_run(ended, {"status": "SUCCESS"})
            observer = EndedRuns(access, settled, certain)
            for run_id in (ended, still_open, unknown, unknown_node):
                observer.captured(of_run(run_id))
            await observer.finish(asyncio.Event())
            assert (settled, certain) == ({ended}, {still_open})
            assert sandbox.runs.keys() == {ended, still_open}


async def test_port_is_asked_about_the_runs_of_verified_requests(plain_runtime: Runtime, port: FlakyPort) -> None:
    forged, node_run, workflow_run = RUN_ID[:-1] + "Z", "wfnr_0123456789abcdef", "wfr_0123456789abcdef"
    settled, certain = set[str](), set[str]()
    url = port.url.replace("127.0.0.1", "127.1")  # an address that port-hook doesn't take for this machine
    access = PortAccess.known(Settings(client_id="id", client_secret=Secret("s" * 20), api_url=url), plain_runtime)
    observer = EndedRuns(access, settled, certain)
    observer.captured(replace(of_run(forged), verdict=Verdict(status=Status.INVALID)))
    observer.captured(capture_of({"context": {"workflowRunId": workflow_run, "nodeRunId": node_run}}))
    observer.captured(of_run(RUN_ID))
    node = {"identifier": node_run, "status": "IN_PROGRESS"}
    port.run |= {"status": "SUCCESS", "identifier": workflow_run, "nodeRuns": [node]}
    await observer.finish(asyncio.Event())
    assert (settled, certain, len(port.tokens)) == ({RUN_ID}, {node_run}, 1)
    assert {call.path.partition("?")[0].rpartition("/")[2] for call in port.calls} == {RUN_ID, workflow_run}
