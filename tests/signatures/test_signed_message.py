from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations.models import Status
from port_hook_cli.kafka.message import message_headers
from port_hook_cli.signatures.messages import verify_received
from port_hook_cli.signatures.signing import Signer, signed_message
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, SECRET, a_body, a_document

STAMP = str(int(NOW))


def agent_accepts(message: bytes, secret: Secret) -> bool:
    """Verify a message as Port's published execution agent does."""
    document = json.loads(message)
    signature, stamp = (document["headers"].pop(name) for name in ("X-Port-Signature", "X-Port-Timestamp"))
    signed = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    digest = hmac.digest(secret.reveal().encode(), f"{stamp}.{signed}".encode(), hashlib.sha256)
    return bool(signature == f"v1,{base64.b64encode(digest).decode()}")


def verdict(message: bytes) -> Status:
    return verify_received(message_headers(message), message, SECRET, is_message=True, now=NOW).status


# Characters and numbers that Python and JavaScript write in the same way: others the agent does not accept from Port.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.map("k{}".format), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXT.map("k{}".format), VALUES, max_size=4))
def test_signed_message_is_accepted_by_the_agent_and_by_port_hook(document: dict[str, Any]) -> None:
    message = signed_message(document, SECRET, STAMP)
    assert agent_accepts(message, SECRET)
    assert verdict(message) is Status.VALID
    assert not agent_accepts(message, Secret("another"))


def test_signed_message_keeps_other_headers_and_replaces_old_signatures() -> None:
    document = {"headers": {"X-Team": "a", "X-Port-Signature": "v1,old", "X-Port-Timestamp": "1"}, "a": "zoë"}
    message = signed_message(document, SECRET, STAMP)
    headers = json.loads(message)["headers"]
    assert headers["X-Team"] == "a"
    assert headers["X-Port-Timestamp"] == STAMP
    assert "zoë".encode() in message
    assert agent_accepts(message, SECRET)


def test_signed_message_replaces_headers_that_are_not_an_object() -> None:
    assert agent_accepts(signed_message({"headers": "none"}, SECRET, STAMP), SECRET)


def test_message_without_a_secret_has_no_signature() -> None:
    assert signed_message({"a": 1}, None, STAMP) == b'{"a":1,"headers":{}}'


@pytest.mark.parametrize("document", [[1, 2], "text", None])
def test_message_that_is_not_an_object_has_no_signature(document: Any) -> None:
    assert json.loads(signed_message(document, SECRET, STAMP)) == document


def test_edited_message_gets_a_new_signature_inside() -> None:
    captured = signed_message({**a_document(), "headers": {"RUN_ID": "r_1"}}, SECRET, str(int(NOW)))
    edited = captured.replace(b"create_vm", b"other_vm")
    assert edited != captured
    message = Signer(SECRET).message(captured, edited, NOW + 5)
    verdict = verify_received(message_headers(message), message, SECRET, is_message=True, now=NOW + 5)
    assert (verdict.status, verdict.reading) == (Status.VALID, "kafka")
    assert json.loads(message)["headers"]["X-Port-Timestamp"] == str(int(NOW) + 5)
    assert json.loads(message)["headers"]["RUN_ID"] == "r_1"


def test_message_stays_as_it_is_if_nothing_or_its_signature_was_edited() -> None:
    captured = signed_message(a_document(), SECRET, str(int(NOW)))
    assert Signer(SECRET).message(captured, captured, 1) is captured
    edits: list[Any] = [{}, {"X-Port-Signature": "v1,bad", "X-Port-Timestamp": "1"}, []]
    for headers in edits:
        edited = json.dumps({**json.loads(captured), "headers": headers}).encode()
        assert Signer(SECRET).message(captured, edited, 1) is edited


def test_message_with_a_timestamp_alone_does_not_get_a_signature() -> None:
    captured = json.dumps({**a_document(), "headers": {"X-Port-Timestamp": "1"}}).encode()
    edited = captured.replace(b"create_vm", b"other_vm")
    assert Signer(SECRET).message(captured, edited, 1) is edited


@given(st.binary() | st.just(b'{"headers": {"X-Port-Signature": 1}}') | st.just(b'{"headers":' * 2000))
def test_any_other_body_stays_as_it_is(body: bytes) -> None:
    assert Signer(SECRET).message(a_body(), body, 1) is body
