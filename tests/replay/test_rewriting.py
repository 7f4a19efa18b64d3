from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.forwarding import target_url
from port_hook_cli.invocations.models import Headers, Invocation, Status
from port_hook_cli.kafka.message import message_headers
from port_hook_cli.replay.rewriting import (
    Rewriting,
    draft,
    finish,
    masked_fields,
    parse_header,
    parse_method,
    signed_inside,
)
from port_hook_cli.signatures.messages import verify_received
from port_hook_cli.signatures.signing import TimestampUnit, signed_message
from port_hook_cli.text.secret import MASK, Secret
from tests.factories import NOW, SECRET, a_body, a_document, an_invocation

URL = "http://127.0.0.1:8000/hook"
PLAIN = Rewriting()
EXACT = Rewriting(as_captured=True)


def is_signed_with(request: Invocation, secret: str) -> bool:
    """Verify as Port documents it, by other means than the code under test."""
    timestamp = request.headers.get("x-port-timestamp") or ""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + request.body, hashlib.sha256).digest()
    return request.headers.all("x-port-signature") == ("v1," + base64.b64encode(digest).decode(),)


def sent(invocation: Invocation, rewriting: Rewriting = PLAIN, **options: Any) -> Invocation:
    request = draft(invocation, rewriting, url=URL, body=options.pop("body", invocation.body))
    fields: dict[str, Any] = {
        "id_": "new",
        "now": NOW + 1000.7,
        "secret": None if rewriting.as_captured else SECRET,
        "unit": TimestampUnit.SECONDS,
        **options,
    }
    return finish(request, rewriting, **fields)


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable()))
def test_a_replay_gets_a_new_signature_over_its_exact_body(body: bytes, secret: str) -> None:
    request = sent(an_invocation(body), secret=Secret(secret))
    assert request.body == body
    assert request.headers.all("x-port-timestamp") == (str(int(NOW) + 1000),)
    assert is_signed_with(request, secret)


def test_the_timestamp_can_be_in_milliseconds() -> None:
    request = sent(an_invocation(), unit=TimestampUnit.MILLISECONDS)
    assert request.headers.get("x-port-timestamp") == str(int((NOW + 1000.7) * 1000))
    assert is_signed_with(request, SECRET.reveal())


def test_replay_does_not_change_the_capture() -> None:
    captured = an_invocation(replay_of="0123456789ab")
    before = (captured.headers, captured.received_at, captured.id)
    request = sent(captured)
    assert (captured.headers, captured.received_at, captured.id) == before
    assert (request.id, request.replay_of, request.received_at) == ("new", "0123456789ab", NOW + 1000.7)
    assert (request.method, request.target) == (captured.method, captured.target)


def test_connection_fields_of_the_capture_are_removed_and_the_others_kept_in_order() -> None:
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


def test_masked_fields_are_named() -> None:
    assert masked_fields(Headers((("Cookie", MASK), ("a", "b"), ("authorization", MASK)))) == (
        "Cookie",
        "authorization",
    )


def test_as_captured_keeps_every_field_in_its_place_with_the_targets_host() -> None:
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
    request = sent(an_invocation(body, headers=Headers(fields)), EXACT)
    assert request.body == body
    assert request.headers.items == (("HOST", "127.0.0.1:8000"), *fields[1:])


@pytest.mark.parametrize("lengths", [("7",), ("8", "8"), ("eight",)])
def test_captured_content_length_that_differs_from_the_body_is_removed(lengths: tuple[str, ...]) -> None:
    fields = tuple(("content-length", length) for length in lengths)
    assert sent(an_invocation(b"12345678", headers=Headers(fields)), EXACT).headers.items == ()


def test_method_and_header_fields_can_be_replaced() -> None:
    rewriting = Rewriting(method="PUT", headers=(("X-A", "3"), ("x-a", "4"), ("x-gone", "")))
    captured = an_invocation(headers=Headers((("x-a", "1"), ("X-A", "2"), ("X-Gone", "1"), ("y", "1"))))
    request = sent(captured, rewriting)
    assert request.method == "PUT"
    assert request.headers.all("x-a") == ("3", "4")
    assert request.headers.get("x-gone") is None
    assert request.headers.get("y") == "1"


def test_signature_given_as_a_header_option_replaces_the_new_one() -> None:
    request = sent(an_invocation(), Rewriting(headers=(("X-Port-Signature", "v1,forged"),)))
    assert request.headers.all("x-port-signature") == ("v1,forged",)


def test_an_edited_body_is_signed_and_loses_its_content_encoding() -> None:
    captured = an_invocation(b"old", headers=Headers((("content-encoding", "gzip"), ("a", "b"))))
    assert sent(captured).headers.get("content-encoding") == "gzip"
    request = sent(captured, body=b"new")
    assert request.headers.get("content-encoding") is None
    assert request.body == b"new"
    assert is_signed_with(request, SECRET.reveal())


@pytest.mark.parametrize(
    ("to", "target", "url"),
    [
        ("http://h:1", "/a/b?c=1", "http://h:1/a/b?c=1"),
        ("http://h:1/", "/a/b?c=1", "http://h:1/"),
        ("http://h:1/x", "/a/b?c=1", "http://h:1/x"),
        ("http://h:1?x=1", "/a", "http://h:1?x=1"),
        ("http://h:1", "/", "http://h:1/"),
        ("http://h:1", "http://old.example/a?b", "http://h:1/a?b"),
        ("http://h:1", "/a?next=http://old.example/b", "http://h:1/a?next=http://old.example/b"),
        ("http://h:1", "/http://old.example/b", "http://h:1/http://old.example/b"),
        ("http://h:1", "*", "http://h:1/*"),
        ("http://h:1", "", "http://h:1/"),
        ("http://h:1", "/a%2Fb//c/../d", "http://h:1/a%2Fb//c/../d"),
    ],
)
def test_a_target_without_a_path_gets_the_captured_one(to: str, target: str, url: str) -> None:
    assert target_url(to, target) == url


def test_long_captured_path_is_read_once() -> None:
    path = "/" + "a" * 2_000_000  # reading it again from each character takes hours
    assert target_url("http://h:1", path) == f"http://h:1{path}"


@given(st.text(max_size=30))
def test_captured_path_never_changes_the_host(target: str) -> None:
    assert urlsplit(target_url("http://127.0.0.1:8000", target)).netloc == "127.0.0.1:8000"


@pytest.mark.parametrize("text", ["post", "POST"])
def test_parse_method_returns_uppercase(text: str) -> None:
    assert parse_method(text) == "POST"


@pytest.mark.parametrize("text", ["", "PO ST", "A/B", "GET\r\n"])
def test_an_invalid_method_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_method(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a:b", ("a", "b")),
        ("A: b: c ", ("A", "b: c")),
        ("a:", ("a", "")),
        ("a:é", ("a", "Ã©")),
    ],
)
def test_parse_header_splits_name_and_value_at_the_colon(text: str, field: tuple[str, str]) -> None:
    assert parse_header(text) == field


@pytest.mark.parametrize("text", ["a", ":b", "a b:c", "a:b\r\nx: y", "a:\x00", "é:b"])
def test_an_invalid_header_field_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_header(text)


def test_a_refused_header_field_does_not_repeat_its_value() -> None:
    with pytest.raises(UsageError) as caught:
        parse_header("authorization: Bearer geheim\n")
    assert "geheim" not in caught.value.message


# Messages of Kafka.


def test_edited_message_gets_a_new_signature_inside() -> None:
    captured = signed_message({**a_document(), "headers": {"RUN_ID": "r_1"}}, SECRET, str(int(NOW)))
    edited = captured.replace(b"create_vm", b"other_vm")
    assert edited != captured
    message = signed_inside(captured, edited, SECRET, str(int(NOW) + 5))
    verdict = verify_received(message_headers(message), message, SECRET, is_message=True, now=NOW + 5)
    assert (verdict.status, verdict.reading) == (Status.VALID, "kafka")
    assert json.loads(message)["headers"]["X-Port-Timestamp"] == str(int(NOW) + 5)
    assert json.loads(message)["headers"]["RUN_ID"] == "r_1"


def test_message_stays_as_it_is_if_nothing_or_its_signature_was_edited() -> None:
    captured = signed_message(a_document(), SECRET, str(int(NOW)))
    assert signed_inside(captured, captured, SECRET, "1") is captured
    edits: list[Any] = [{}, {"X-Port-Signature": "v1,bad", "X-Port-Timestamp": "1"}, []]
    for headers in edits:
        edited = json.dumps({**json.loads(captured), "headers": headers}).encode()
        assert signed_inside(captured, edited, SECRET, "1") is edited


def test_message_with_a_timestamp_alone_does_not_get_a_signature() -> None:
    captured = json.dumps({**a_document(), "headers": {"X-Port-Timestamp": "1"}}).encode()
    edited = captured.replace(b"create_vm", b"other_vm")
    assert signed_inside(captured, edited, SECRET, "1") is edited


@given(st.binary() | st.just(b'{"headers": {"X-Port-Signature": 1}}') | st.just(b'{"headers":' * 2000))
def test_any_other_body_stays_as_it_is(body: bytes) -> None:
    assert signed_inside(a_body(), body, SECRET, "1") is body
