"""The table of a capture's fields agrees with the hand-written rows, and the formats do not change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from port_hook_cli.captures.database.rows import CAPTURE_COLUMNS, capture_row, read_row
from port_hook_cli.captures.documents.capture_file import read_capture, to_capture
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    Capture,
    Cause,
    Delivery,
    Invocation,
    MessageOrigin,
    Payload,
    Response,
    Simulated,
    Status,
    Truncation,
    Verdict,
)
from tests.factories import a_capture, an_invocation

WHOLE = Capture(
    invocation=Invocation(
        id="0123456789ab",
        received_at=1_700_000_000.25,
        method="POST",
        target="/hook?a=1",
        headers=Headers((("x-port-signature", "v1,abc"), ("x-name", "\xe9"))),
        body=b"\xff{",
        replay_of="ba9876543210",
        truncated=Truncation(size=9, sha256="ab"),
        origin=MessageOrigin("t", 1, 2, 3),
    ),
    verdict=Verdict(
        status=Status.INVALID, signed_form="raw", causes=(Cause("secret-or-body", "words", "fix it"),), age_s=1.5
    ),
    payload=Payload(run_id="r_1", action="a", problem="not read, because the body is incomplete"),
    delivery=Delivery(
        url="http://x/", status=502, latency_ms=2.5, headers=Headers((("a", "b"),)), body=b"{}", fault="f", error="e"
    ),
    response=Response(status=502, headers=Headers((("a", "b"),)), body=b"{}"),
    simulated=Simulated(failure="drop", dropped=True, delay_s=0.5),
)
"""A capture with every field that a capture can have."""

ROW = {
    "id": "0123456789ab",
    "received_at": 1_700_000_000.25,
    "method": "POST",
    "target": "/hook?a=1",
    "replay_of": "ba9876543210",
    "run_id": "r_1",
    "action": "a",
    "signature": "v1,abc",
    "status": "invalid",
    "signed_form": "raw",
    "age_s": 1.5,
    "is_verified": 0,
    "body_size": 9,
    "body_sha256": "ab",
    "kafka": '{"topic":"t","partition":1,"offset":2,"timestamp_ms":3}',
    "simulated": '{"failure":"drop","dropped":true,"delay_s":0.5}',
    "causes": '[{"slug":"secret-or-body","words":"words","fix":"fix it"}]',
    "headers": '[["x-port-signature","v1,abc"],["x-name","\\u00e9"]]',
    "delivery": '{"url":"http://x/","status":502,"latency_ms":2.5,"fault":"f","error":"e","headers":[["a","b"]]}',
    "response": '{"status":502,"headers":[["a","b"]]}',
    "delivery_body": b"{}",
    "response_body": None,
    "body": b"\xff{",
}
DOCUMENT = """{
  "schema": "port-hook/capture/1",
  "id": "0123456789ab",
  "received_at": "2023-11-14T22:13:20.250Z",
  "received_at_s": 1700000000.25,
  "replay_of": "ba9876543210",
  "run_id": "r_1",
  "action": "a",
  "method": "POST",
  "target": "/hook?a=1",
  "headers": [["x-port-signature", "v1,abc"], ["x-name", "\\u00e9"]],
  "body_base64": "/3s=",
  "body_truncated": true,
  "body_size": 9,
  "body_sha256": "ab",
  "kafka": {"topic": "t", "partition": 1, "offset": 2, "timestamp": "1970-01-01T00:00:00.003Z", "timestamp_ms": 3},
  "verdict": {
    "status": "invalid",
    "signed_form": "raw",
    "age_s": 1.5,
    "causes": ["secret-or-body"],
    "details": [{"slug": "secret-or-body", "words": "words", "fix": "fix it"}]
  },
  "delivery": {
    "url": "http://x/",
    "status": 502,
    "latency_ms": 2.5,
    "fault": "f",
    "error": "e",
    "headers": [["a", "b"]],
    "body_base64": "e30=",
    "body": "{}"
  },
  "response": {"status": 502, "headers": [["a", "b"]], "body_base64": "e30=", "body": "{}"},
  "simulated": {"failure": "drop", "dropped": true, "delay_s": 0.5}
}"""


def columns(capture: Capture) -> dict[str, Any]:
    return dict(zip(CAPTURE_COLUMNS, capture_row(capture, keep_secrets=True), strict=True))


def test_row_and_file_of_a_complete_capture_do_not_change() -> None:
    assert columns(WHOLE) == ROW
    assert read_row(list(ROW.values())) == WHOLE
    assert json.dumps(to_capture(WHOLE)) == json.dumps(json.loads(DOCUMENT))


def test_file_with_the_old_names_of_fields_is_read() -> None:
    document = to_capture(replace(WHOLE, simulated=Simulated(manual=True)))
    verdict, simulated = document["verdict"], document["simulated"]
    old = {
        **{name: value for name, value in document.items() if name != "response"},
        "answer": document["response"],
        "verdict": {**{name: value for name, value in verdict.items() if name != "signed_form"}, "reading": "raw"},
        "simulated": {**{name: value for name, value in simulated.items() if name != "manual"}, "by_hand": True},
    }
    assert to_capture(read_capture(old)) == to_capture(read_capture(document))


def test_row_has_headers_and_origin_as_json() -> None:
    for text in ('a"b', "a\\b", "\x00\t\x1f\x7f\x80\xff", "日本\u2028😀", "\ud800"):
        origin = MessageOrigin(f"topic{text}", 2**31 - 1, 2**63 - 1, None)
        headers = Headers(((text, "a"), ("b", text), ("c", "")))
        row = columns(a_capture(an_invocation(headers=headers, origin=origin)))
        assert row["kafka"] == json.dumps(origin._asdict(), separators=(",", ":"))
        assert row["headers"] == json.dumps(headers.items, separators=(",", ":"))
    row = columns(a_capture(an_invocation(headers=Headers())))
    assert (row["headers"], row["kafka"]) == ("[]", None)
