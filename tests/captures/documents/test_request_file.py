from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.documents.capture_fields import REJECTED_BODY_LIMIT, NotACapture, require_whole, truncate
from port_hook_cli.captures.documents.capture_file import CAPTURE, capture_summary, read_capture, to_capture
from port_hook_cli.captures.documents.request_file import NotARequest, capture_in, read_request
from port_hook_cli.captures.documents.request_file import from_capture as saved_request
from port_hook_cli.errors import StoreError
from port_hook_cli.invocations.models import Truncation
from port_hook_cli.replay.sources import from_capture as source_of
from tests.factories import NOW, a_body, a_capture, an_invocation


def test_capture_file_or_raw_request_file_has_a_request() -> None:
    saved = read_request(json.dumps(to_capture(a_capture())).encode())
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


LARGE = an_invocation(b"x" * (REJECTED_BODY_LIMIT + 1))


@given(st.binary(max_size=40), st.integers(0, 40))
def test_truncation_retains_the_beginning_and_the_size_and_hash_of_the_body(body: bytes, limit: int) -> None:
    whole = an_invocation(body)
    cut = truncate(whole, limit)
    if len(body) <= limit:
        assert cut is whole
    else:
        assert cut.body == body[:limit]
        assert cut.truncated == Truncation(size=len(body), sha256=sha256(body).hexdigest())
        assert truncate(cut, 0) is cut


def test_truncated_capture_file_reads_back_and_whole_captures_have_no_truncation_fields() -> None:
    capture = a_capture(truncate(LARGE))
    fields = {
        "body_truncated": True,
        "body_size": REJECTED_BODY_LIMIT + 1,
        "body_sha256": sha256(LARGE.body).hexdigest(),
    }
    document = to_capture(capture)
    for record in (document, capture_summary(capture)):
        assert fields.items() <= record.items()
    again = read_capture(document)
    assert again.invocation == capture.invocation
    assert "is incomplete" in (again.payload.problem or "")
    for record in (to_capture(a_capture()), capture_summary(a_capture())):
        assert not fields.keys() & record.keys()
    changes: list[dict[str, object]] = [{"body_truncated": 1}, {"body_size": None}, {"body_sha256": 7}]
    for change in changes:
        with pytest.raises(NotACapture):
            read_capture(document | change)


def test_truncated_body_is_not_replayed_or_verified() -> None:
    capture = a_capture(truncate(LARGE))
    for use in (lambda: source_of("aa", capture), lambda: saved_request(capture)):
        with pytest.raises(StoreError, match=r"is incomplete.* 262,144 of its 262,145 bytes"):
            use()
    assert require_whole("aa", LARGE) is LARGE
