from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from port_hook_cli.errors import PortApiError, UsageError
from port_hook_cli.port_api.responses import backoff_s, problem_of, read_object, retry_after_s
from port_hook_cli.runs.ids import check_run_id, doubt_about
from port_hook_cli.runs.updates import (
    REQUEST_LIMIT,
    RunReport,
    RunStatus,
    encode_body,
    ended_status,
    log_calls,
    patch_call,
    plan_report,
    run_path,
    split_log,
)
from tests.factories import NOW, RUN_ID
from tests.port_openapi import body_schema, faults, port_openapi

NODE_RUN = "wfnr_abc123"
EVERYTHING = RunReport(
    status=RunStatus.SUCCESS,
    label="Deployed",
    summary="All good",
    links=("https://ci.example.com/7", "https://example.com"),
    external_run_id="gh-7",
    logs=("one", "two"),
)
# These are all texts that a command line or a file can contain, including surrogates.
TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


def said(run_id: str, report: RunReport) -> list[tuple[str, object]]:
    plan = plan_report(run_id, report)
    return [(f"{call.method} {call.path}", call.body) for call in (*plan.logs, *plan.last_calls)]


def test_report_sends_logs_then_fields_and_then_the_status_alone() -> None:
    run = f"/v1/actions/runs/{RUN_ID}"
    assert said(RUN_ID, EVERYTHING) == [
        (f"POST {run}/logs", {"message": "one"}),
        (f"POST {run}/logs", {"message": "two"}),
        (
            f"PATCH {run}",
            {
                "statusLabel": "Deployed",
                "link": ["https://ci.example.com/7", "https://example.com"],
                "summary": "All good",
                "externalRunId": "gh-7",
            },
        ),
        (f"PATCH {run}", {"status": "SUCCESS"}),
    ]


def test_empty_fields_of_a_report_are_not_sent() -> None:
    assert said(RUN_ID, RunReport(status=RunStatus.FAILURE)) == [
        (f"PATCH /v1/actions/runs/{RUN_ID}", {"status": "FAILURE"})
    ]
    assert said(RUN_ID, RunReport(summary="")) == [(f"PATCH /v1/actions/runs/{RUN_ID}", {"summary": ""})]
    assert said(RUN_ID, RunReport()) == []


def test_node_run_has_its_own_routes_and_statuses() -> None:
    node = f"/v1/workflows/nodes/runs/{NODE_RUN}"
    assert said(NODE_RUN, EVERYTHING) == [
        (f"POST {node}/logs", {"logs": [{"level": "INFO", "message": "one"}]}),
        (f"POST {node}/logs", {"logs": [{"level": "INFO", "message": "two"}]}),
        (f"POST {node}/logs", {"logs": [{"level": "INFO", "message": "Label: Deployed"}]}),
        (f"POST {node}/logs", {"logs": [{"level": "INFO", "message": "Summary: All good"}]}),
        (
            f"PATCH {node}",
            {
                "status": "IN_PROGRESS",
                "links": ["https://ci.example.com/7", "https://example.com"],
                "externalRunId": "gh-7",
            },
        ),
        (f"PATCH {node}", {"status": "COMPLETED", "result": "SUCCESS"}),
    ]

    assert said(NODE_RUN, RunReport(status=RunStatus.FAILURE))[-1][1] == {"status": "COMPLETED", "result": "FAILED"}


def test_plan_has_a_remark_on_missing_fields_of_node_runs() -> None:
    assert "log lines" in plan_report(NODE_RUN, EVERYTHING).remarks[0]
    assert plan_report(NODE_RUN, RunReport(logs=("x",))).remarks == ()
    assert plan_report(RUN_ID, EVERYTHING).remarks == ()


def test_every_body_of_a_report_is_valid_for_port() -> None:
    document = port_openapi()
    plan = plan_report(RUN_ID, EVERYTHING)
    for call in (*plan.logs, *plan.last_calls):
        route = call.path.replace(RUN_ID, "{run_id}")
        assert faults(call.body, body_schema(document, call.method, route)) == []


@pytest.mark.parametrize("link", ["example.com", "javascript:alert(1)", "http://", "http://[::1"])
def test_link_without_a_url_is_rejected(link: str) -> None:
    with pytest.raises(UsageError, match="is not a URL"):
        plan_report(RUN_ID, RunReport(links=(link,)))


def test_blank_log_is_rejected() -> None:
    with pytest.raises(UsageError, match="empty"):
        plan_report(RUN_ID, RunReport(logs=(" \n",)))


def test_patch_call_has_a_wanted_status_only_when_it_ends_the_run() -> None:
    assert patch_call(RUN_ID, {"status": "SUCCESS"}).wanted == "SUCCESS"
    assert patch_call(RUN_ID, {"summary": "x"}).wanted is None
    assert patch_call(NODE_RUN, {"status": "IN_PROGRESS"}).wanted is None
    assert patch_call(NODE_RUN, {"status": "COMPLETED", "result": "CANCELLED"}).wanted == "CANCELLED"


def test_ended_status_returns_the_final_status_of_an_ended_run() -> None:
    rows: list[tuple[Any, Any]] = [
        ({"status": "IN_PROGRESS"}, None),
        ({"status": "WAITING_FOR_APPROVAL"}, None),
        ({"status": "SUCCESS"}, "SUCCESS"),
        ({"status": "SOMETHING_NEW", "endedAt": "2026-01-01T00:00:00.000Z"}, "SOMETHING_NEW"),
        ({}, None),
    ]
    for run, status in rows:
        assert ended_status(run) == status


@given(TEXT)
@example("../../organization")
@example(".")
@example("...")
def test_run_path_encodes_any_run_id_as_one_segment(run_id: str) -> None:
    segment = run_path(run_id.encode("utf-8", "replace").decode()).removeprefix("/v1/actions/runs/")
    assert not set(segment) & set("/?# ")
    assert segment.isascii()
    assert not segment or segment.strip(".")


@given(TEXT, st.integers(60, 200), st.sampled_from([None, {"logs": [{"level": "INFO", "message": ""}]}]))
@example('"' * 300, 40, None)
@example("\x00\n\U0001f600" * 60, 60, None)
def test_parts_of_a_split_log_fit_the_limit_and_join_to_the_log(
    message: str, limit: int, envelope: dict[str, object] | None
) -> None:
    parts = split_log(message, limit, envelope)
    assert "".join(parts) == message
    for part in parts:
        body = {"message": part} if envelope is None else {"logs": [{"level": "INFO", "message": part}]}
        assert len(encode_body(body)) <= limit


def test_log_is_split_at_line_breaks_and_the_limit() -> None:
    assert split_log("one\ntwo\nthree", limit=len(b'{"message":"one\\ntwo"}')) == ("one\n", "two\n", "three")

    message = "x" * (REQUEST_LIMIT - len(b'{"message":""}'))
    assert split_log(message) == (message,)
    assert [len(part) for part in split_log(message + "y")] == [len(message), 1]

    sizes = [len(encode_body(call.body or {})) for call in log_calls(NODE_RUN, "x" * 3_000_000)]
    assert len(sizes) == 3
    assert max(sizes) == REQUEST_LIMIT

    with pytest.raises(ValueError, match="too small for a single character"):
        split_log("é", limit=len(b'{"message":""}') + 1)


def test_unusual_run_id_is_accepted_with_a_remark() -> None:
    for run_id in (RUN_ID, NODE_RUN):
        assert check_run_id(run_id) == run_id
        assert doubt_about(run_id) is None

    assert check_run_id("gh-7") == "gh-7"
    assert "external run ID" in str(doubt_about("gh-7"))
    assert "15 characters" in str(doubt_about(RUN_ID[:-1]))


@pytest.mark.parametrize("text", [f"https://app.port.io/organization/run?runId={RUN_ID}", f" {RUN_ID}"])
def test_check_run_id_suggests_the_id_in_a_pasted_url(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_run_id(text)
    assert caught.value.hint == f"Did you mean {RUN_ID}?"


@pytest.mark.parametrize("text", ["..", "a b", "r_\x1b[2J"])
def test_check_run_id_rejects_impossible_ids_and_shows_the_format(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_run_id(text)
    assert "16 letters and digits" in caught.value.hint


def test_retry_after_is_read_as_seconds_or_none() -> None:
    rows: list[tuple[Any, Any]] = [("0", 0), ("12", 12), (" 3 ", 3), ("9" * 5000, 9999999999)]
    for value, seconds in rows:
        assert retry_after_s(value, NOW) == seconds
    for value in (None, "-1", "1.5", "٣", "Wed, 99 Foo 2026 00:00:00 GMT"):
        assert retry_after_s(value, NOW) is None


@given(st.integers(-100, 100))
def test_retry_after_as_a_date_is_counted_from_now_and_never_negative(seconds: int) -> None:
    date = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=seconds)
    assert retry_after_s(format_datetime(date, usegmt=True), NOW) == max(0, seconds)
    assert retry_after_s(date.strftime("%a, %d %b %Y %H:%M:%S"), NOW) == max(0, seconds)


@given(st.text())
def test_any_retry_after_is_read_without_an_exception(value: str) -> None:
    seconds = retry_after_s(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_up_to_a_maximum_with_jitter(tries: int, chance: float) -> None:
    assert backoff_s(tries, 0) <= backoff_s(tries, chance) <= 2 * backoff_s(tries, 0) <= 8
    assert backoff_s(tries, chance) <= backoff_s(tries + 1, chance)


@given(st.integers(300, 999), st.binary(max_size=200))
@example(404, b'{"error": 1, "message": ["\x1b[2J"]}')
@example(500, b"[" * 100_000)
def test_problem_of_any_error_response_is_a_port_api_error(status: int, body: bytes) -> None:
    problem = problem_of(status, body)
    assert isinstance(problem, PortApiError)
    assert str(status) in problem.message


@given(st.binary(max_size=50))
def test_read_object_never_raises(body: bytes) -> None:
    document = read_object(body)
    assert document == {} or document == json.loads(body.decode("utf-8-sig"))
