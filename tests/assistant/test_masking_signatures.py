"""Signatures in any text are masked, and nothing else is changed."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.assistant.results import content_without_signatures, without_signatures

SIGNATURES = st.binary(min_size=32, max_size=32).map(lambda digest: f"v1,{b64encode(digest).decode()}")


def nested(text: str) -> str:
    """Return a text as a JSON text in a JSON text, with escapes that some serializers write."""
    return json.dumps(json.dumps(text).replace("/", "\\/").replace("+", "\\u002B"))


@given(SIGNATURES, st.text(), st.text())
def test_signature_in_any_text_is_masked(signature: str, before: str, after: str) -> None:
    shown = without_signatures(f"{before}{signature}{after}")
    assert signature not in shown
    assert "***" in shown
    for written in (nested(signature), quote(signature, safe="")):
        assert without_signatures(written).count("***") == 1
        assert signature[5:20] not in without_signatures(written)
    assert isinstance(json.loads(json.loads(without_signatures(nested(f"{before}{signature}{after}")))), str)


@given(st.text())
def test_other_text_is_not_changed(text: str) -> None:
    assert without_signatures(text) == text
    assert content_without_signatures(text.encode("utf-8", "replace")) == text.encode("utf-8", "replace")


@given(SIGNATURES, st.dictionaries(st.text(), st.text(), max_size=3))
def test_header_of_a_message_is_masked_and_the_rest_stays(signature: str, rest: dict[str, str]) -> None:
    for given_value in (signature, "not a signature", 'quoted " and \\'):
        document = {**rest, "headers": {"X-Port-Signature": given_value, "X-Port-Timestamp": "1"}}
        shown = json.loads(content_without_signatures(json.dumps(document).encode()))
        assert shown == {**rest, "headers": {"X-Port-Signature": "***", "X-Port-Timestamp": "1"}}


@pytest.mark.parametrize(
    "part",
    [b"v1,", b"\\", b'"x-port-signature":', b'"x-port-signature":"\\"', b"v1," + b"\\" * 999, b"v1," + b"a" * 42],
)
def test_large_hostile_body_is_masked_within_2_s(part: bytes) -> None:
    body = part * (2_000_000 // len(part))
    started = time.process_time()
    content_without_signatures(body)
    without_signatures(body.decode())
    assert time.process_time() - started < 2
