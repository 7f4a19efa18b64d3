from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.documents.capture_file import CAPTURE, to_capture
from port_hook_cli.captures.documents.request_file import NotARequest, capture_in, read_request
from port_hook_cli.invocations.models import Capture, Payload, Status, Verdict
from tests.factories import NOW, a_body, an_invocation


def a_capture(body: bytes = b"{}") -> bytes:
    invocation = an_invocation(body)
    return json.dumps(
        to_capture(Capture(invocation=invocation, verdict=Verdict(status=Status.VALID), payload=Payload()))
    ).encode()


def test_capture_file_or_raw_request_file_has_a_request() -> None:
    saved = read_request(a_capture(a_body()))
    assert (saved.body, saved.compared_at) == (a_body(), NOW)
    assert saved.headers == an_invocation(a_body()).headers
    saved = read_request(b"POST / HTTP/1.1\nx-port-timestamp: 17\n\n{}")
    assert (saved.body, saved.compared_at) == (b"{}", None)
    assert saved.headers.get("X-Port-Timestamp") == "17"


def test_error_describes_the_file_when_it_has_no_request() -> None:
    assert capture_in(b"[" * 10_000 + b"]" * 10_000) is None
    for content, words in [
        (b" \n", "it is empty"),
        (b'{"a":1}', "it is JSON, but not a capture file"),
        (b"hello", "it is neither a capture file nor an HTTP request"),
        (b"POST / HTTP/1.1\nnonsense\n\n", "it begins like an HTTP request, but line 2"),
        (json.dumps({"schema": CAPTURE}).encode(), "it is a damaged capture file"),
    ]:
        with pytest.raises(NotARequest, match=words):
            read_request(content)


@given(st.one_of(st.binary(), st.text(alphabet='[]{}",:0 a').map(str.encode)))
def test_any_bytes_are_read_as_a_request_or_raise_not_a_request(content: bytes) -> None:
    with suppress(NotARequest):
        assert read_request(content).body in content
