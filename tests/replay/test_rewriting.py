from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation
from port_hook_cli.invocations.targets import target_url
from port_hook_cli.replay.rewriting import (
    MASKED,
    Rewriter,
    SeriesRewriter,
    UnsignedReplay,
    announced_runs,
    masked_fields,
    parse_header,
    parse_method,
)
from port_hook_cli.replay.sources import ReplaySource
from port_hook_cli.signatures.signing import Signer, TimestampUnit, signed_message
from port_hook_cli.text.secret import MASK, Secret
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_document, an_invocation
from tests.hostile import oracle

URL = "http://127.0.0.1:8000/hook"
EXACT: dict[str, Any] = {"signer": None, "takes_unsigned": True}


def is_signed_with(request: Invocation, secret: str) -> bool:
    """Verify as Port documents it, without the code under test."""
    timestamp = request.headers.get("x-port-timestamp") or ""
    return request.headers.all("x-port-signature") == (oracle.sign(secret, timestamp, request.body),)


def a_rewriter(**options: Any) -> Rewriter:
    fields: dict[str, Any] = {"signer": Signer(SECRET), "now": lambda: NOW + 1000.7, "new_id": lambda: "new"}
    return Rewriter(**{**fields, **options})


def sent(invocation: Invocation, **options: Any) -> Invocation:
    rewriter = a_rewriter(**options)
    source = ReplaySource(name="a", invocation=invocation)
    return rewriter.finish(rewriter.prepare(source, URL).draft)


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable()))
def test_replay_gets_a_new_signature_over_its_raw_body(body: bytes, secret: str) -> None:
    request = sent(an_invocation(body), signer=Signer(Secret(secret)))
    assert request.body == body
    assert request.headers.all("x-port-timestamp") == (str(int(NOW) + 1000),)
    assert is_signed_with(request, secret)


def test_replay_has_a_new_timestamp_in_any_unit_and_does_not_change_the_capture() -> None:
    request = sent(an_invocation(), signer=Signer(SECRET, TimestampUnit.MILLISECONDS))
    assert request.headers.get("x-port-timestamp") == str(int((NOW + 1000.7) * 1000))
    assert is_signed_with(request, SECRET.reveal())
    captured = an_invocation(replay_of="0123456789ab")
    before = (captured.headers, captured.received_at, captured.id)
    request = sent(captured)
    assert (captured.headers, captured.received_at, captured.id) == before
    assert (request.id, request.replay_of, request.received_at) == ("new", "0123456789ab", NOW + 1000.7)
    assert (request.method, request.target) == (captured.method, captured.target)


def test_connection_headers_of_the_capture_are_removed_and_the_others_stay_in_order() -> None:
    captured = an_invocation(
        headers=Headers(
            (
                ("Host", "abc.ngrok.app"),
                ("X-B", "1"),
                ("Connection", "keep-alive, X-Hop"),
                ("x-hop", "gone"),
                ("Keep-Alive", "timeout=5"),
                ("Transfer-Encoding", "chunked"),
                ("Content-Length", "5"),
                ("Expect", "100-continue"),
                ("X-Forwarded-For", "1.2.3.4"),
                ("Forwarded", "for=1.2.3.4"),
                ("RUN_ID", "r_1"),
                ("x-b", "2"),
                ("X-Port-Signature", "v1,old"),
                ("X-Port-Timestamp", "1"),
                ("Authorization", MASK),
                ("Cookie", "kept=1"),
            )
        )
    )
    assert [name for name, _ in sent(captured).headers] == [
        "X-B",
        "RUN_ID",
        "x-b",
        "Cookie",
        "x-port-signature",
        "x-port-timestamp",
    ]


def test_masked_headers_are_listed_and_errors_about_headers_repeat_no_value() -> None:
    assert masked_fields(Headers((("Cookie", MASK), ("a", "b"), ("authorization", MASK)))) == (
        "Cookie",
        "authorization",
    )
    with pytest.raises(UsageError) as caught:
        parse_header("authorization: Bearer geheim\n")
    assert "geheim" not in caught.value.message


def test_as_captured_preserves_every_header_and_sets_the_targets_host() -> None:
    body = b'{"a": 1}'
    fields = (
        ("HOST", "abc.ngrok.app"),
        ("x-port-timestamp", "1"),
        ("X-A", "1"),
        ("Content-Length", "8"),
        ("x-a", "2"),
        ("X-Port-Signature", "v1,old"),
        ("X-Forwarded-For", "1.2.3.4"),
    )
    request = sent(an_invocation(body, headers=Headers(fields)), **EXACT)
    assert request.body == body
    assert request.headers.items == (("HOST", "127.0.0.1:8000"), *fields[1:])


def test_captured_content_length_is_removed_when_it_differs_from_the_body() -> None:
    for lengths in (("7",), ("8", "8")):
        fields = tuple(("content-length", length) for length in lengths)
        assert sent(an_invocation(b"12345678", headers=Headers(fields)), **EXACT).headers.items == ()


def test_method_and_headers_can_be_replaced() -> None:
    captured = an_invocation(headers=Headers((("x-a", "1"), ("X-A", "2"), ("X-Gone", "1"), ("y", "1"))))
    request = sent(captured, method="PUT", headers=(("X-A", "3"), ("x-a", "4"), ("x-gone", "")))
    assert request.method == "PUT"
    assert request.headers.all("x-a") == ("3", "4")
    assert request.headers.get("x-gone") is None
    assert request.headers.get("y") == "1"

    request = sent(an_invocation(), headers=(("X-Port-Signature", "v1,forged"),))
    assert request.headers.all("x-port-signature") == ("v1,forged",)


def test_edited_body_is_signed_and_loses_its_content_encoding() -> None:
    captured = an_invocation(b"old", headers=Headers((("content-encoding", "gzip"), ("a", "b"))))
    assert sent(captured).headers.get("content-encoding") == "gzip"
    request = sent(captured, edit=lambda _: (b"new", ()))
    assert request.headers.get("content-encoding") is None
    assert request.body == b"new"
    assert is_signed_with(request, SECRET.reveal())


def test_target_without_a_path_gets_the_captured_path_read_once() -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ("http://h:1", "/a/b?c=1", "http://h:1/a/b?c=1"),
        ("http://h:1/", "/a/b?c=1", "http://h:1/"),
        ("http://h:1/x", "/a/b?c=1", "http://h:1/x"),
        ("http://h:1?x=1", "/a", "http://h:1?x=1"),
        ("http://h:1", "http://old.example/a?b", "http://h:1/a?b"),
        ("http://h:1", "/a?next=http://old.example/b", "http://h:1/a?next=http://old.example/b"),
        ("http://h:1", "/http://old.example/b", "http://h:1/http://old.example/b"),
        ("http://h:1", "*", "http://h:1/*"),
        ("http://h:1", "", "http://h:1/"),
    ]
    for to, target, url in rows:
        assert target_url(to, target) == url
    path = "/" + "a" * 2_000_000  # reading it again from each character takes hours
    assert target_url("http://h:1", path) == f"http://h:1{path}"


@given(st.text(max_size=30))
def test_captured_path_never_changes_the_host(target: str) -> None:
    assert urlsplit(target_url("http://127.0.0.1:8000", target)).netloc == "127.0.0.1:8000"


def test_method_is_uppercase_or_rejected() -> None:
    assert parse_method("post") == "POST"
    for text in ("", "GET\r\n", "PO ST"):
        with pytest.raises(UsageError):
            parse_method(text)


def test_parse_header_splits_name_and_value_at_the_colon() -> None:
    rows: list[tuple[Any, Any]] = [
        ("a:b", ("a", "b")),
        ("A: b: c ", ("A", "b: c")),
        ("a:", ("a", "")),
        ("a:é", ("a", "Ã©")),
    ]
    for text, field in rows:
        assert parse_header(text) == field


@pytest.mark.parametrize("text", ["a", ":b", "a b:c", "a:b\r\nx: y", "é:b"])
def test_invalid_header_is_rejected(text: str) -> None:
    with pytest.raises(UsageError):
        parse_header(text)


def test_notes_of_an_edit_are_the_last_of_a_replay() -> None:
    source = ReplaySource(name="a", invocation=an_invocation(headers=Headers((("a", MASK),))), notes=("stale",))
    ready = a_rewriter(edit=lambda body: (body, ["added"])).prepare(source, URL)
    assert [(note.text.partition(",")[0], note.about) for note in ready.notes] == [
        ("stale", ""),
        ("the store masks a", MASKED),
        ("added", ""),
    ]


def test_request_without_a_signature_is_not_sent_as_captured() -> None:
    source = ReplaySource(name="0123", invocation=an_invocation(headers=Headers()))
    with pytest.raises(UnsignedReplay, match=r"^0123 has no signature to send as captured\.$"):
        a_rewriter(signer=None).prepare(source, URL)
    assert a_rewriter(**EXACT).prepare(source, URL).is_signed is False


def test_sandbox_is_told_the_action_and_the_edited_inputs_of_newly_signed_runs_once() -> None:
    source = ReplaySource(name="a", invocation=an_invocation(a_body()))
    edited = a_body(a_document()).replace(b"dev-env", b"other")
    ready = a_rewriter(edit=lambda _: (edited, ())).prepare(source, URL)
    (run,) = announced_runs([ready, ready, replace(ready, run_id="r_1", is_signed=False)])
    assert (run["runId"], run["action"], run["properties"]["title"]) == (RUN_ID, "create_vm", "other")


def test_only_edited_kafka_message_is_signed_inside_again_if_it_may_be() -> None:
    rows: list[tuple[Any, Any]] = [(b"create_vm", True), (b"other_vm", True), (b"other_vm", False)]
    for body, inside in rows:
        value = signed_message(a_document(), SECRET, str(int(NOW)))
        source = ReplaySource(name="a", invocation=an_invocation(value), is_message=True)
        edited = value.replace(b"create_vm", body)
        ready = a_rewriter(signer=Signer(SECRET, inside=inside), edit=lambda _, edited=edited: (edited, ())).prepare(
            source, URL
        )
        assert (ready.draft.body == edited) is (edited == value or not inside)


MOMENTS = st.sampled_from([NOW, NOW + 0.001, NOW + 0.9, NOW + 1, NOW + 5])
OPTIONS: list[dict[str, Any]] = [
    {},
    {"signer": Signer(SECRET, TimestampUnit.MILLISECONDS)},
    {"headers": (("x-tenant", "blue"), ("x-port-timestamp", "1"))},
    EXACT,
]


@given(st.lists(st.tuples(st.integers(0, 2), MOMENTS)), st.sampled_from(OPTIONS))
def test_series_rewriter_returns_the_requests_of_its_rewriter(
    steps: list[tuple[int, float]], options: dict[str, Any]
) -> None:
    moments, ids = iter([moment for _, moment in steps]), iter(map(str, range(len(steps))))
    series = SeriesRewriter(a_rewriter(now=lambda: next(moments), new_id=lambda: next(ids), **options))
    drafts = [an_invocation(body) for body in (b"a", b"a", b"b")]
    for number, (chosen, moment) in enumerate(steps):
        single = a_rewriter(now=lambda moment=moment: moment, new_id=lambda number=number: str(number), **options)
        assert series.finish(drafts[chosen]) == single.finish(drafts[chosen])
