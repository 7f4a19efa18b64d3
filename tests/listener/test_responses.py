"""The listener's own responses, and how a response affects a run."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Cause, Delivery, Kind, Payload, Response, Status, Verdict
from port_hook_cli.listener import responses as answering
from port_hook_cli.listener.responses import BadResponse, is_accepted, parse_response
from port_hook_cli.runs.fate import RunFate, run_fate
from tests.factories import RUN_ID

JSON = (("content-type", "application/json"),)
TEXT = (("content-type", "text/plain; charset=utf-8"),)
UNBELIEVABLE = [status for status in Status if status not in {Status.VALID, Status.REENCODED}]
REPLAYED = Cause("replayed", "seen before", "send it once")


texts = st.text(max_size=60)


def no_file(name: str) -> bytes:
    raise AssertionError(f"asked for the file {name}")


def test_parse_response_splits_status_and_body_at_the_first_colon() -> None:
    cases: list[tuple[str, int, bytes, tuple[tuple[str, str], ...]]] = [
        ("202", 202, b"{}", JSON),
        ("204", 204, b"", ()),
        ("304:", 304, b"", ()),
        ('201:{"id": "a:b"}', 201, b'{"id": "a:b"}', JSON),
        ("200:", 200, b"", TEXT),
        ("503:down for now", 503, b"down for now", TEXT),
        ("500:é", 500, "é".encode(), TEXT),
        # An argument that is not UTF-8 reaches Python as surrogates, and leaves as its original bytes.
        ("200:\udcff", 200, b"\xff", TEXT),
        ("599:[1,", 599, b"[1,", TEXT),
    ]
    for text, status, body, headers in cases:
        answer = parse_response(text, no_file)
        assert (answer.status, answer.body, answer.headers.items) == (status, body, headers)


def test_parse_response_reads_a_body_from_a_file_byte_for_byte() -> None:
    for content, headers in ((b'{"a": 1}', JSON), (b"\x00\xff", TEXT), (b"[" * 100_000, TEXT)):
        answer = parse_response("200:@an@swer:1.json", {"an@swer:1.json": content}.__getitem__)
        assert (answer.body, answer.headers.items) == (content, headers)


def test_parse_response_rejects_an_invalid_status_and_quotes_it() -> None:
    for text in ("", ":", "ok", "199", "600", "-200", "+200", " 200", "20²", "2e2", "200 OK", "@x"):
        with pytest.raises(BadResponse) as caught:
            parse_response(text, no_file)
        assert f"'{text.partition(':')[0]}'" in str(caught.value)


@given(st.one_of(texts, st.builds("{}:{}".format, st.integers(-1, 9999), texts)), st.binary())
def test_parse_response_raises_only_bad_response_for_any_text(text: str, content: bytes) -> None:
    try:
        answer = parse_response(text, lambda _: content)
    except BadResponse:
        return
    assert 200 <= answer.status <= 599


def test_parse_response_rejects_a_body_for_a_status_without_a_body() -> None:
    with pytest.raises(BadResponse, match="cannot have a body"):
        parse_response("204:x", no_file)


@given(st.integers(200, 599).filter(lambda status: status not in {204, 304}), st.binary(max_size=200))
def test_parse_response_never_changes_a_body_from_a_file(status: int, content: bytes) -> None:
    answer = parse_response(f"{status}:@f", lambda _: content)
    assert (answer.status, answer.body) == (status, content)


REFUSALS: list[tuple[Response, int, str, str]] = [
    (
        answering.rejected(Verdict(status=Status.INVALID, causes=(Cause("secret-or-body", "w", "use the other"),))),
        401, "signature", "invalid: secret-or-body",
    ),
    (answering.rejected(Verdict(status=Status.STALE)), 401, "signature", "stale"),
    (answering.rejected(Verdict(status=Status.VALID, causes=(REPLAYED,))), 401, "signature", "valid: replayed"),
    (answering.not_saved("no space left on device"), 500, "not-saved", "no space left on device"),
    (answering.too_large(1000), 413, "too-large", "1000 bytes"),
    (answering.outside("/hooks"), 404, "not-found", "below /hooks"),
    (answering.too_slow(30.0), 408, "too-slow", "within 30 s"),
    (answering.too_slow(0.25), 408, "too-slow", "within 0.25 s"),
    (answering.unreadable(400, "bad request line"), 400, "unreadable", "bad request line"),
    (answering.unreadable(500, "a bug"), 500, "internal", "a bug"),
    (answering.made_to_fail(2), 500, "fail-first", "2 more invocations will fail"),
    (answering.made_to_fail(1), 500, "fail-first", "1 more invocation will fail"),
    (answering.made_to_fail(0), 500, "fail-first", "--fail-first: this was the last"),
    (answering.undelivered(Delivery(url="u", fault="timeout", error="too slow")), 504, "timeout", "too slow"),
    (answering.undelivered(Delivery(url="u", fault="broken", error="hung up")), 502, "broken", "hung up"),
    (answering.undelivered(Delivery(url="u", fault="unreachable", error="none")), 502, "unreachable", "none"),
    (answering.undelivered(Delivery(url="u")), 502, "unreachable", "did not respond"),
]  # fmt: skip


def test_every_error_response_of_the_listener_is_json_with_a_reason() -> None:
    for answer, status, error, message in REFUSALS:
        document = json.loads(answer.body)
        assert answer.status == status
        assert answer.headers.items == JSON
        assert (document["ok"], document["error"]) == (False, error)
        assert message in document["message"]


def test_error_response_has_a_hint_only_when_the_problem_can_be_fixed() -> None:
    cases: list[tuple[Response, str | None]] = [
        (answering.rejected(Verdict(status=Status.INVALID, causes=(Cause("a", "w", "do b"), REPLAYED))), "do b"),
        (answering.too_large(1), "raise the limit with --max-body"),
        (answering.rejected(Verdict(status=Status.STALE)), None),
    ]
    for answer, hint in cases:
        assert json.loads(answer.body).get("hint") == hint


@given(st.text())
def test_error_response_contains_a_reason_of_any_characters(reason: str) -> None:
    answers: list[Callable[[str], Response]] = [answering.not_saved, answering.outside]
    for make in answers:
        assert reason in json.loads(make(reason).body)["message"]


def test_run_fate_depends_on_synchronized_and_the_status_class() -> None:
    cases: list[tuple[str | None, Kind, bool | None, int, RunFate]] = [
        (RUN_ID, Kind.ACTION_RUN, True, 200, RunFate.SUCCESS),
        (RUN_ID, Kind.ACTION_RUN, True, 204, RunFate.SUCCESS),
        (RUN_ID, Kind.ACTION_RUN, True, 299, RunFate.SUCCESS),
        (RUN_ID, Kind.ACTION_RUN, True, 302, RunFate.FAILURE),
        (RUN_ID, Kind.ACTION_RUN, True, 401, RunFate.FAILURE),
        (RUN_ID, Kind.ACTION_RUN, True, 500, RunFate.FAILURE),
        (RUN_ID, Kind.ACTION_RUN, False, 200, RunFate.WAITS),
        (RUN_ID, Kind.ACTION_RUN, False, 500, RunFate.WAITS),
        (RUN_ID, Kind.ACTION_RUN, None, 200, RunFate.DEPENDS),
        (RUN_ID, Kind.AUTOMATION, True, 200, RunFate.SUCCESS),
        (RUN_ID, Kind.UNKNOWN, None, 500, RunFate.DEPENDS),
        (RUN_ID, Kind.CHANGE_LOG, True, 200, RunFate.NO_RUN),
        (None, Kind.ACTION_RUN, True, 200, RunFate.NO_RUN),
        (None, Kind.AUTOMATION, None, 200, RunFate.NO_RUN),
    ]
    for run_id, kind, synchronized, status, fate in cases:
        payload = Payload(kind=kind, run_id=run_id, synchronized=synchronized)
        assert run_fate(payload, Response(status=status)) is fate


def test_is_accepted_is_true_only_for_an_accepted_signature_status() -> None:
    cases: list[tuple[Status, bool, bool]] = [
        (Status.VALID, False, True),
        (Status.VALID, True, True),
        (Status.REENCODED, False, True),
        (Status.REENCODED, True, False),
        *((status, strict, False) for status in UNBELIEVABLE for strict in (False, True)),
    ]
    for status, strict, accepted in cases:
        assert is_accepted(Verdict(status=status, causes=(REPLAYED,)), strict=strict) is accepted
