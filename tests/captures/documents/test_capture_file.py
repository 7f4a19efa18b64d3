from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.captures.documents.capture_fields import NotACapture
from port_hook_cli.captures.documents.capture_file import (
    CAPTURE,
    is_capture,
    read_capture,
    to_capture,
)
from port_hook_cli.invocations.models import Capture, Delivery, Response, Status
from tests.captures.capture_strategies import captures
from tests.factories import RUN_ID, a_body, a_capture


@given(captures())
def test_capture_file_reads_back_as_the_written_capture(capture: Capture) -> None:
    assert read_capture(json.loads(json.dumps(to_capture(capture)))) == capture


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(to_capture(a_capture(delivery=Delivery(url="http://x"), response=Response(status=200))))


@given(captures(), st.sampled_from(FIELDS), st.none() | st.sampled_from(["status", "headers", "body"]), JSON_VALUES)
def test_damaged_capture_is_read_or_rejected(capture: Capture, field: str, inner: str | None, value: object) -> None:
    document = to_capture(capture)
    if inner is not None and isinstance(document.get(field), dict):
        document[field][inner] = value
    else:
        document[field] = value
    with contextlib.suppress(NotACapture):
        read = read_capture(document)
        assert read_capture(json.loads(json.dumps(to_capture(read)))) == read


@given(JSON_VALUES)
def test_any_other_document_is_not_a_capture(document: object) -> None:
    assert not is_capture(document)
    with pytest.raises(NotACapture, match="schema"):
        read_capture(document)


def a_document(**changes: Any) -> dict[str, Any]:
    return {**to_capture(a_capture()), **changes}


def test_capture_of_another_version_is_recognized_and_rejected() -> None:
    document = a_document(schema="port-hook/capture/2")
    assert is_capture(document)
    with pytest.raises(NotACapture, match="Upgrade"):
        read_capture(document)


def test_capture_file_has_the_body_as_text_if_it_is_text_and_as_base64() -> None:
    document = to_capture(a_capture())
    assert document["body"].encode() == a_body()
    assert document["body_base64"] == b64encode(a_body()).decode()
    invocation = read_capture({"schema": CAPTURE, "method": "POST", "body_base64": "gP8="}).invocation
    assert invocation.body == b"\x80\xff"
    assert "body" not in to_capture(a_capture(invocation))


def test_handwritten_capture_needs_only_a_method_and_a_body() -> None:
    capture = read_capture({"schema": CAPTURE, "method": "PUT", "body": f'{{"runId":"{RUN_ID}"}}'})
    assert capture.invocation.method == "PUT"
    assert capture.invocation.target == "/"
    assert capture.payload.run_id == RUN_ID
    assert capture.verdict.status is Status.UNCHECKED
    assert capture.delivery is None
    assert capture.response is None


def test_error_contains_the_invalid_field() -> None:
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"method": None}, 'no "method"'),
        ({"method": 1}, '"method" is not a string'),
        ({"body": "{}"}, "replay --set"),
        ({"body": None, "body_base64": None}, "neither"),
        ({"body_base64": "%%%"}, "not base64"),
        ({"body_base64": "\ud800"}, "not base64"),
        ({"headers": {}}, "not a list"),
        ({"headers": [["a"]]}, "name, value"),
        ({"headers": [["a", "→"]]}, "Latin-1"),
        ({"received_at_s": True}, "not a number"),
        ({"received_at_s": 10**400}, "not a finite number"),
        ({"received_at_s": 1e300}, "not a time"),
        ({"verdict": []}, "not an object"),
        ({"verdict": {"status": "fine"}}, "unknown status"),
        ({"verdict": {"status": "valid", "details": ["secret-or-body"]}}, "not objects"),
        ({"response": {"body": ""}}, "no"),
        ({"response": {"status": 99, "body": ""}}, "not an HTTP status"),
        ({"delivery": {"body": ""}}, 'no "url"'),
        ({"simulated": []}, "not an object"),
        ({"simulated": {"dropped": 1}}, "neither true nor false"),
    ]
    for changes, words in invalid:
        with pytest.raises(NotACapture, match=words):
            read_capture(a_document(**changes))
