"""The records for programs: their fields and names, and that they are JSON."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.invocations import view as records
from port_hook_cli.invocations.models import Cause, Delivery, Response, Status, Verdict
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.invocations.snippets import SignedRequest
from port_hook_cli.listener import view as listener_view
from port_hook_cli.listener.policy import Tally
from port_hook_cli.signatures import view as signature_records
from port_hook_cli.tunnels import report as tunnel_records
from port_hook_cli.tunnels.report import TunnelReport, TunnelState
from tests.factories import NOW, RUN_ID, a_body, a_capture, an_invocation, signed

DELIVERED = Delivery(url="http://127.0.0.1:8000/", status=202, latency_ms=12.34567)
VERDICT = Verdict(
    status=Status.INVALID,
    causes=(Cause("secret-or-body", "nothing matched", "check the secret"), Cause("clock-skew", "late", "set it")),
    age_s=1.23456,
)


def test_time_is_written_in_utc_with_milliseconds() -> None:
    for epoch_s, text in [
        (0, "1970-01-01T00:00:00.000Z"), (NOW, "2023-11-14T22:13:20.000Z"),
        (NOW + 0.9996, "2023-11-14T22:13:20.999Z"), (NOW + 0.9999999, "2023-11-14T22:13:21.000Z"),
        (NOW + 1.001, "2023-11-14T22:13:21.001Z"), (-0.5, "1969-12-31T23:59:59.500Z"),
        (-0.0000001, "1970-01-01T00:00:00.000Z"),
    ]:  # fmt: skip
        assert records.format_time(epoch_s) == text


def test_verdict_record_has_status_causes_age_and_hint() -> None:
    assert signature_records.verdict_record(VERDICT) == {
        "schema": "port-hook/verdict/1",
        "status": "invalid",
        "signed_form": None,
        "causes": ["secret-or-body", "clock-skew"],
        "age_s": 1.235,
        "hint": "check the secret",
        "details": [
            {"slug": "secret-or-body", "words": "nothing matched", "fix": "check the secret"},
            {"slug": "clock-skew", "words": "late", "fix": "set it"},
        ],
        "side": "sender",
    }
    record = signature_records.verdict_record(Verdict(status=Status.MISSING))
    assert (record["age_s"], record["hint"], record["details"]) == (None, "", [])


def test_delivery_record_has_source_run_and_outcome() -> None:
    assert records.delivery_record(DELIVERED, source="last", run_id=RUN_ID) == {
        "schema": "port-hook/delivery/1",
        "source": "last",
        "run_id": RUN_ID,
        "url": "http://127.0.0.1:8000/",
        "status": 202,
        "latency_ms": 12.346,
        "error": None,
    }
    failed = Delivery(url="u", fault="unreachable", error="nothing answers")
    record = records.delivery_record(failed, source="a.json", run_id=None)
    assert (record["status"], record["error"], record["run_id"]) == (None, "nothing answers", None)


def test_invocation_event_is_one_flat_record() -> None:
    capture = a_capture(response=Response(status=202), delivery=DELIVERED)
    assert records.invocation_event(capture) == {
        "schema": "port-hook/event/1",
        "type": "invocation",
        "id": "0123456789ab",
        "received_at": "2023-11-14T22:13:20.000Z",
        "method": "POST",
        "path": "/",
        "run_id": RUN_ID,
        "action": "create_vm",
        "verdict": {"status": "valid", "signed_form": "raw", "causes": []},
        "response": {"status": 202},
        "delivery": {"url": "http://127.0.0.1:8000/", "status": 202, "latency_ms": 12.346, "error": None},
        "kafka": None,
        "simulated": None,
    }
    record = records.invocation_event(a_capture())
    assert (record["response"], record["delivery"]) == (None, None)


@given(st.binary(max_size=200), st.text(st.characters(), max_size=30))
def test_invocation_event_of_any_bytes_is_one_line(body: bytes, target: str) -> None:
    invocation = an_invocation(body, target=target)
    capture = a_capture(invocation, payload=read_payload(body, invocation.headers), verdict=VERDICT)
    line = json.dumps(records.invocation_event(capture))
    assert "\n" not in line
    assert json.loads(line)["path"] == target


def a_request(body: bytes) -> SignedRequest:
    return SignedRequest(url="http://h/", headers=signed(body).items, body=body)


def test_signature_record_has_the_body_as_text() -> None:
    record = signature_records.signature_record(a_request(a_body()), form="js")
    headers = dict(signed(a_body()).items)
    assert record == {
        "schema": "port-hook/signature/1",
        "signature": headers["x-port-signature"],
        "timestamp": headers["x-port-timestamp"],
        "form": "js",
        "body": a_body().decode(),
        "body_base64": None,
        "method": "POST",
        "url": "http://h/",
        "headers": headers,
    }


@given(st.binary())
def test_signature_record_contains_a_body_of_any_bytes(body: bytes) -> None:
    record = json.loads(json.dumps(signature_records.signature_record(a_request(body), form="raw")))
    text, encoded = record["body"], record["body_base64"]
    assert (text is None) != (encoded is None)
    assert (b64decode(encoded) if text is None else text.encode()) == body


def test_ready_and_summary_events_have_the_urls_the_counts_and_the_waiting_runs() -> None:
    assert listener_view.ready_event(url="http://127.0.0.1:8787/", public_url=None) == {
        "schema": "port-hook/event/1",
        "type": "ready",
        "url": "http://127.0.0.1:8787/",
        "public_url": None,
    }
    tally = Tally(
        received=9, verified=5, rejected=3, skipped=1, handler_failures=2, waiting=OrderedDict({RUN_ID: False})
    )
    assert listener_view.summary_event(tally) == {
        "schema": "port-hook/event/1",
        "type": "summary",
        "received": 9,
        "verified": 5,
        "rejected": 3,
        "skipped": 1,
        "handler_failures": 2,
        "waiting": [RUN_ID],
        "tunnel": None,
    }


def test_tunnel_change_is_a_record_and_the_last_change_is_in_the_summary() -> None:
    report = TunnelReport(
        state=TunnelState.REACHABLE,
        url="https://two.example/",
        latency_ms=12.34567,
        previous_url="https://one.example/",
    )
    fields = {"state": "reachable", "url": "https://two.example/", "latency_ms": 12.346, "reason": None}
    assert tunnel_records.tunnel_event(report) == {
        "schema": "port-hook/event/1",
        "type": "tunnel",
        **fields,
        "previous_url": "https://one.example/",
    }
    assert listener_view.summary_event(Tally(), tunnel=report)["tunnel"] == fields
