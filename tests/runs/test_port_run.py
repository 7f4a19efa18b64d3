from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.invocations.models import Delivery, Response, Status, Verdict
from port_hook_cli.runs.port_run import PortRun, RunKind, read_action_run, read_time, read_workflow_run
from port_hook_cli.runs.run_view import ended_text, runs_table
from port_hook_cli.runs.waiting import WaitsFor, why_waiting
from tests.factories import RUN_ID, a_capture

REQUEST = {"type": "WEBHOOK", "url": "https://x.example/", "synchronized": False, "body": {"id": RUN_ID}}
REJECTED: dict[str, Any] = {"response": Response(status=401), "verdict": Verdict(status=Status.INVALID)}
DELIVERED = Delivery(url="http://127.0.0.1:8000/", status=202)
NODE: dict[str, Any] = {"kind": RunKind.NODE, "payload": None}
FAILED = Delivery(url="http://127.0.0.1:8000/", fault="timeout", error="no response")
REPORT = f"port-hook report-run {RUN_ID} --status"


def a_run(**fields: Any) -> PortRun:
    return PortRun(**{"id": RUN_ID, "kind": RunKind.ACTION, "name": "create_vm", "payload": REQUEST, **fields})


@pytest.mark.parametrize(
    ("fields", "capture", "waits_for", "reason", "commands"),
    [
        ({}, None, "report", "was not captured here", (f"port-hook replay {RUN_ID}", f"{REPORT} success")),
        ({}, {"delivery": DELIVERED}, "report", "The handler responded with 202.", (f"{REPORT} success",)),
        ({}, {"delivery": FAILED}, "report", "did not respond (timeout)", ("port-hook replay", f"{REPORT} failure")),
        ({}, REJECTED, "report", "rejected the request (signature invalid)", ("port-hook verify", f"{REPORT} failure")),
        ({"payload": None}, None, "report", "Port shows no request", (f"{REPORT} success",)),
        ({"payload": {**REQUEST, "synchronized": True}}, {"delivery": DELIVERED}, "response", "is synchronized", ()),
        ({"is_pending": True}, None, "report", "shows the run as pending", ("port-hook replay", REPORT)),
        ({"status": "WAITING_FOR_APPROVAL"}, None, "approval", "an approval in Port", ()),
        ({"status": "NEW"}, None, "unknown", "doesn't document what ends the status NEW", ()),
        ({**NODE, "node_type": "WEBHOOK"}, None, "response-or-report", "the default", (REPORT,)),
        ({**NODE, "node_type": "INPUT"}, None, "input", "INPUT node create_vm is waiting", ()),
        ({**NODE, "node_type": "AI"}, None, "unknown", "a node with the type AI", ()),
    ],
)
def test_waiting_run_is_explained(
    fields: dict[str, Any], capture: dict[str, Any] | None, waits_for: str, reason: str, commands: tuple[str, ...]
) -> None:
    captures = {} if capture is None else {RUN_ID: a_capture(**capture)}
    (waiting,) = why_waiting(a_run(**fields), captures)
    assert (waiting.waits_for, waiting.run_id) == (WaitsFor(waits_for), RUN_ID)
    assert reason in " ".join(waiting.reasons)
    assert all(shown.startswith(wanted) for shown, wanted in zip(waiting.commands, commands, strict=True))


def test_run_that_has_ended_waits_for_nothing() -> None:
    for ended in (a_run(status="SUCCESS"), a_run(kind=RunKind.NODE, result="FAILED"), a_run(ended_at="2026-05-01")):
        assert why_waiting(ended, {}) == ()


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"updated_by": "zoë"}, "last updated by zoë. Port doesn't document who ended a run"),
        ({"payload": {"synchronized": True}, "updated_by": "zoë"}, "by the HTTP response"),
        ({"status": "DECLINED", "approval": {"userId": "max\x1b[2J"}}, r"declined by max\x1b[2J"),
        ({}, "Port doesn't show who ended it"),
    ],
)
def test_end_says_who_ended_the_run_only_as_far_as_port_does(fields: dict[str, Any], shown: str) -> None:
    assert shown in ended_text(a_run(**{"status": "SUCCESS", **fields}), now=0.0)


def test_documents_of_any_shape_are_read() -> None:
    values: list[Any] = [None, [], {}, {"id": 1}, {"id": "a\nb"}, {"id": "x" * 201}, {"identifier": ""}]
    for value in values:
        assert (read_action_run(value), read_workflow_run(value)) == (None, None)
    odd = {"action": 1, "link": [1, "https://x"], "payload": [], "approval": 2, "status": None, "createdAt": "soon"}
    run = read_action_run({"id": RUN_ID, **odd})
    assert run == PortRun(id=RUN_ID, kind=RunKind.ACTION, links=("https://x",), created_at="soon")
    flow = read_workflow_run({"identifier": "wfr_1", "nodeRuns": [1, {}, {"identifier": "wfnr_1", "node": []}]})
    assert flow is not None
    assert [each.id for each in flow.node_runs] == ["wfnr_1"]


def test_time_that_no_calendar_shows_is_unknown() -> None:
    assert [read_time(text) for text in ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02")] == [1.0, 2.0]
    assert [read_time(text) for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "x")] == [None] * 3


def test_table_of_runs_fits_and_never_shortens_an_id() -> None:
    runs = [a_run(name="ä" * 60, status="WAITING_FOR_APPROVAL"), a_run(id="r_" + "x" * 90)]
    lines = [line.plain for line in runs_table(runs[:1], {RUN_ID}, now=0.0, width=80)]
    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("yes")
    in_list = runs_table([a_run(payload={"body": "no run ID"}), a_run()], (), now=0.0, width=80)
    assert [line.plain.split()[-1] for line in in_list] == ["captured", "unknown", "no"]
    assert "r_" + "x" * 90 in "".join(line.plain for line in runs_table(runs, (), now=0.0, width=80))
