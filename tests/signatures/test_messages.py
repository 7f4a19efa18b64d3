from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Status, Verdict
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.messages import signed_value, verify_received, verify_received_without_diagnosis
from port_hook_cli.signatures.signing import Signer, signed_message
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET, a_body, a_document
from tests.json_values import json_values
from tests.kafka_clusters import a_message

JSON = json_values(st.integers(-(2**53), 2**53) | st.text(max_size=10), st.text(max_size=5), max_size=3)


def verdict_on(value: bytes, *, secret: Secret = SECRET, now: float = NOW) -> Verdict:
    headers = message_headers(value)
    at_once = verify_received_without_diagnosis(
        headers, value, secret, is_message=True, now=now, tolerance_s=300, seen=None
    )
    verdict = verify_received(headers, value, secret, is_message=True, now=now)
    assert at_once in {None, verdict}
    return verdict


def test_message_bytes_are_valid_only_as_a_message() -> None:
    verdict = verdict_on(a_message(at=NOW - 2, RUN_ID="r_1"))

    assert (verdict.status, verdict.signed_form, verdict.age_s, verdict.causes) == (Status.VALID, "kafka", 2.0, ())

    value = a_message(at=NOW)

    assert verify_received(message_headers(value), value, SECRET, is_message=False, now=NOW).status is Status.INVALID


@given(JSON)
def test_signed_message_is_invalid_when_a_byte_changes(value: object) -> None:
    message = a_message({"properties": value, "marker": "before"}, at=NOW)

    assert verdict_on(message).status is Status.VALID
    assert verdict_on(message.replace(b"before", b"after_")).status is Status.INVALID


def test_numbers_written_differently_by_python_are_verified_unchanged() -> None:
    value = a_message({"number": "N"}, at=NOW)
    number = b"1e-7"  # Python would write 1e-07
    signed = signed_value(value.replace(b'"N"', number))

    assert b'"number":1e-7' in signed
    assert b"X-Port" not in signed


def test_message_with_spaces_is_verified_in_compact_form_unless_a_key_is_repeated() -> None:
    spaced = json.dumps(json.loads(a_message(at=NOW, RUN_ID="r_1")), ensure_ascii=False).encode()

    assert verdict_on(spaced).status is Status.VALID

    text = json.dumps(json.loads(a_message({"cpu": 2}, at=NOW)), ensure_ascii=False)
    doubled = text.replace('"cpu": 2', '"cpu": 64, "cpu": 2')

    assert verdict_on(doubled.encode()).status is Status.INVALID


def test_message_with_another_secret_or_a_missing_signature_is_not_valid() -> None:
    assert verdict_on(a_message(at=NOW), secret=Secret("another-secret-of-32-characters!")).status is Status.INVALID
    assert verdict_on(b'{"headers":{},"changelogDestination":{}}').status is Status.MISSING

    verdict = verdict_on(a_message(at=NOW), secret=Secret(SECRET.reveal() + "\n"))

    assert verdict.slugs == ("secret-whitespace",)


def test_message_without_headers_is_verified_unchanged() -> None:
    for value in (b"", b'{"headers":[]}', b"\xff", b'{"headers":' + b"[" * 100_000):
        assert signed_value(value) == value


STAMP = str(int(NOW))


def agent_accepts(message: bytes, secret: Secret) -> bool:
    """Verify a message like Port's published execution agent."""
    document = json.loads(message)
    signature, stamp = (document["headers"].pop(name) for name in ("X-Port-Signature", "X-Port-Timestamp"))
    signed = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    digest = hmac.digest(secret.reveal().encode(), f"{stamp}.{signed}".encode(), hashlib.sha256)
    return bool(signature == f"v1,{base64.b64encode(digest).decode()}")


def verdict(message: bytes) -> Status:
    return verify_received(message_headers(message), message, SECRET, is_message=True, now=NOW).status


# Python and JavaScript write these characters and numbers in the same way. The agent does not accept others from Port.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = json_values(st.integers(-(2**53), 2**53) | TEXT, TEXT.map("k{}".format), max_size=3)


@given(st.dictionaries(TEXT.map("k{}".format), VALUES, max_size=4))
def test_signed_message_is_accepted_by_the_agent_and_by_port_hook(document: dict[str, Any]) -> None:
    message = signed_message(document, SECRET, STAMP)
    assert agent_accepts(message, SECRET)
    assert verdict(message) is Status.VALID
    assert not agent_accepts(message, Secret("another"))


def test_signed_message_retains_other_headers_and_replaces_old_signatures() -> None:
    document = {"headers": {"X-Team": "a", "X-Port-Signature": "v1,old", "X-Port-Timestamp": "1"}, "a": "zoë"}
    message = signed_message(document, SECRET, STAMP)
    headers = json.loads(message)["headers"]
    assert headers["X-Team"] == "a"
    assert headers["X-Port-Timestamp"] == STAMP
    assert "zoë".encode() in message
    assert agent_accepts(message, SECRET)


def test_message_is_signed_only_with_a_secret_and_loses_other_signatures() -> None:
    assert agent_accepts(signed_message({"headers": "none"}, SECRET, STAMP), SECRET)

    assert signed_message({"a": 1}, None, STAMP) == b'{"a":1,"headers":{}}'
    for document in ([1, 2], "text"):
        assert json.loads(signed_message(document, SECRET, STAMP)) == document


def test_edited_message_gets_a_new_signature_inside() -> None:
    captured = signed_message({**a_document(), "headers": {"RUN_ID": "r_1"}}, SECRET, str(int(NOW)))
    edited = captured.replace(b"create_vm", b"other_vm")
    assert edited != captured
    message = Signer(SECRET).message(captured, edited, NOW + 5)
    verdict = verify_received(message_headers(message), message, SECRET, is_message=True, now=NOW + 5)
    assert (verdict.status, verdict.signed_form) == (Status.VALID, "kafka")
    assert json.loads(message)["headers"]["X-Port-Timestamp"] == str(int(NOW) + 5)
    assert json.loads(message)["headers"]["RUN_ID"] == "r_1"


def test_message_is_signed_again_only_when_it_is_edited_and_signed() -> None:
    captured = signed_message(a_document(), SECRET, str(int(NOW)))
    assert Signer(SECRET).message(captured, captured, 1) is captured
    edits: list[Any] = [{}, {"X-Port-Signature": "v1,bad", "X-Port-Timestamp": "1"}, []]
    for headers in edits:
        edited = json.dumps({**json.loads(captured), "headers": headers}).encode()
        assert Signer(SECRET).message(captured, edited, 1) is edited
    captured = json.dumps({**a_document(), "headers": {"X-Port-Timestamp": "1"}}).encode()
    edited = captured.replace(b"create_vm", b"other_vm")
    assert Signer(SECRET).message(captured, edited, 1) is edited


@given(st.binary() | st.just(b'{"headers": {"X-Port-Signature": 1}}') | st.just(b'{"headers":' * 2000))
def test_other_body_is_not_changed(body: bytes) -> None:
    assert Signer(SECRET).message(a_body(), body, 1) is body
