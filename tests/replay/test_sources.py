from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.errors import PortApiError, PortHookError, StoreError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.http_text import RawRequest
from port_hook_cli.invocations.models import Cause, Status, Verdict
from port_hook_cli.javascript.stringify import stringify
from port_hook_cli.replay.sources import from_capture, from_payload, from_request, from_run
from tests.factories import RUN_ID, a_body, a_capture, an_invocation


def test_source_from_a_capture_has_its_whole_request_and_id() -> None:
    captured = an_invocation(method="PUT", target="/a?b=c")
    source = from_capture("last", a_capture(captured))
    replayed = source.invocation
    assert replayed.replay_of == captured.id
    assert (replayed.method, replayed.target, replayed.headers, replayed.body) == (
        captured.method,
        captured.target,
        captured.headers,
        captured.body,
    )
    assert (source.name, source.run_id, source.is_signed, source.notes) == ("last", RUN_ID, True, ())


def test_source_from_an_invalid_capture_has_a_note() -> None:
    rows: list[tuple[Any, Any]] = [
        (
            Verdict(status=Status.INVALID, causes=(Cause("secret-or-body", "w", "f"),)),
            "its signature was invalid (secret-or-body) when it was captured",
        ),
        (Verdict(status=Status.UNCHECKED), "its signature was not checked when it was captured"),
    ]
    for verdict, words in rows:
        assert from_capture("x", a_capture(verdict=verdict)).notes == (words,)


def test_payload_is_posted_as_json_serialized_like_in_port() -> None:
    source = from_payload("p.json", b'\xef\xbb\xbf{ "a": 1.0 }\n')
    assert source.invocation.body == b'{"a":1}'
    assert (source.invocation.method, source.invocation.target) == ("POST", "/")
    assert source.invocation.headers.items == (("content-type", "application/json"),)
    assert (source.is_signed, source.invocation.replay_of) == (False, None)
    assert "as compact JSON" in source.notes[0]

    source = from_payload("p.json", a_body())
    assert (source.invocation.body, source.notes, source.run_id) == (a_body(), (), RUN_ID)


def test_raw_http_request_is_replayed_exactly() -> None:
    headers = Headers((("X-A", "1"), ("x-port-signature", "v1,x")))
    raw = RawRequest(method="PUT", target="/x?y", headers=headers, body=b"{ }", remarks=("a remark",))
    source = from_request("r.http", raw)
    invocation = source.invocation
    assert (invocation.method, invocation.target, invocation.body) == ("PUT", "/x?y", b"{ }")
    assert (invocation.headers, source.is_signed, source.notes) == (headers, True, ("a remark",))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'{"a": }'])
def test_any_other_file_is_rejected(content: bytes) -> None:
    with pytest.raises(StoreError, match="neither a payload nor a capture") as caught:
        from_payload("x", content)
    assert caught.value.hint


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_as_a_source_or_raise_an_error_of_port_hook(content: bytes) -> None:
    try:
        source = from_payload("x", content)
    except PortHookError:
        return
    assert source.name == "x"


def a_payload(**payload: Any) -> dict[str, Any]:
    kept = {"type": "WEBHOOK", "url": "https://x.ngrok.app/hook?a=1", "method": "PUT", "body": {"z": 1, "a": "é"}}
    return {**kept, **payload}


def test_request_stored_by_port_is_sent_unchanged() -> None:
    source = from_run(RUN_ID, a_payload(headers={"RUN_ID": RUN_ID, "Content-Type": "application/x", "n": 1, "u": "é"}))
    invocation = source.invocation
    assert (invocation.method, invocation.target) == ("PUT", "/hook?a=1")
    assert invocation.body == '{"z":1,"a":"é"}'.encode()
    assert invocation.headers.items == (
        ("RUN_ID", RUN_ID),
        ("Content-Type", "application/x"),
        ("n", "1"),
        ("u", "Ã©"),
    )
    assert source.run_id == RUN_ID
    assert not source.is_signed


def test_request_from_port_has_the_stored_path_headers_and_text() -> None:
    rows: list[Any] = [None, []]
    for headers in rows:
        source = from_run(RUN_ID, a_payload(headers=headers))
        assert source.invocation.headers == Headers((("content-type", "application/json"),))
    assert from_run(RUN_ID, a_payload(body='{"a": 1.0}')).invocation.body == b'{"a": 1.0}'
    paths: list[tuple[Any, Any]] = [("", "/"), ("http://[", "/")]
    for url, target in paths:
        assert from_run(RUN_ID, a_payload(url=url, method=None)).invocation.target == target
    with pytest.raises(PortApiError, match="cannot read"):
        from_run(RUN_ID, a_payload(body={"x": float("inf")}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ).filter(lambda body: not isinstance(body, str))
)
def test_body_from_port_is_written_like_by_json_stringify(body: Any) -> None:
    assert from_run(RUN_ID, a_payload(body=body)).invocation.body.decode() == stringify(json.dumps(body))


@pytest.mark.parametrize("payload", [None, {"url": "http://h"}])
def test_run_without_a_request_is_rejected(payload: Any) -> None:
    with pytest.raises(PortApiError, match="has no request"):
        from_run(RUN_ID, payload)
