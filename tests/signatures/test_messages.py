from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.kafka.message import message_headers
from port_hook_cli.signatures.messages import signed_value, verify_received, verify_received_without_diagnosis
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET
from tests.kafka_clusters import a_message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def verdict_on(value: bytes, *, secret: Secret = SECRET, now: float = NOW) -> Verdict:
    headers = message_headers(value)
    at_once = verify_received_without_diagnosis(
        headers, value, secret, is_message=True, now=now, tolerance_s=300, seen=False
    )
    verdict = verify_received(headers, value, secret, is_message=True, now=now)
    assert at_once in {None, verdict}
    return verdict


def test_a_message_is_valid_in_the_form_that_port_signs() -> None:
    verdict = verdict_on(a_message(at=NOW - 2, RUN_ID="r_1"))

    assert (verdict.status, verdict.reading, verdict.age_s, verdict.causes) == (Status.VALID, "kafka", 2.0, ())


def test_a_message_without_other_headers_is_valid() -> None:
    assert verdict_on(a_message(at=NOW)).status is Status.VALID


def test_the_same_bytes_as_a_request_are_not_valid() -> None:
    value = a_message(at=NOW)

    assert verify_received(message_headers(value), value, SECRET, is_message=False, now=NOW).status is Status.INVALID


@given(JSON)
def test_any_document_is_valid_as_signed_and_not_if_a_byte_changes(value: object) -> None:
    message = a_message({"properties": value, "marker": "before"}, at=NOW)

    assert verdict_on(message).status is Status.VALID
    assert verdict_on(message.replace(b"before", b"after_")).status is Status.INVALID


def test_numbers_that_python_writes_differently_are_verified_as_they_are() -> None:
    value = a_message({"number": "N"}, at=NOW)
    number = b"1e-7"  # Python writes 1e-07
    signed = signed_value(value.replace(b'"N"', number))

    assert b'"number":1e-7' in signed
    assert b"X-Port" not in signed


def test_a_value_with_spaces_is_verified_as_the_agent_writes_it_again() -> None:
    spaced = json.dumps(json.loads(a_message(at=NOW, RUN_ID="r_1")), ensure_ascii=False).encode()

    assert verdict_on(spaced).status is Status.VALID


def test_a_key_that_appears_twice_is_not_valid() -> None:
    spaced = json.dumps(json.loads(a_message({"cpu": 2}, at=NOW)), ensure_ascii=False)
    doubled = spaced.replace('"cpu": 2', '"cpu": 64, "cpu": 2')

    assert verdict_on(doubled.encode()).status is Status.INVALID


def test_another_secret_is_invalid_and_a_missing_signature_is_missing() -> None:
    assert verdict_on(a_message(at=NOW), secret=Secret("another-secret-of-32-characters!")).status is Status.INVALID
    assert verdict_on(b'{"headers":{},"changelogDestination":{}}').status is Status.MISSING


def test_a_secret_with_a_line_break_is_diagnosed() -> None:
    verdict = verdict_on(a_message(at=NOW), secret=Secret(SECRET.reveal() + "\n"))

    assert verdict.slugs == ("secret-whitespace",)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"headers":[]}', b"\xff", b'{"headers":' + b"[" * 100_000])
def test_a_value_that_has_no_headers_is_verified_as_it_is(value: bytes) -> None:
    assert signed_value(value) == value


@given(st.binary())
def test_the_signed_form_of_any_bytes_is_bytes(value: bytes) -> None:
    assert isinstance(signed_value(value), bytes)
