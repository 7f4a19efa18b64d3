"""Each field of a capture in the inspector's API."""

from __future__ import annotations

import gzip
import json
from typing import Any

from port_hook_cli.captures.browsing.browser import Listed, Spans
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.inspector.body_records import body_record
from port_hook_cli.inspector.records import capture_record, row_record, spans_record
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import (
    Capture,
    Cause,
    Delivery,
    EventChange,
    Kind,
    MessageOrigin,
    Payload,
    Response,
    Status,
    Truncation,
    Verdict,
)
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.signatures.causes import TIMESTAMP_MALFORMED
from port_hook_cli.signatures.signing import signed_headers, signed_message
from port_hook_cli.text.secret import Secret
from tests.factories import NOW, RUN_ID, SECRET, a_body, a_capture, a_document, an_invocation


def record_of(capture: Capture, *, secret: Secret | None = None) -> dict[str, Any]:
    return capture_record(Listed(7, capture, len(capture.invocation.body)), replays=(), secret=secret, replay_to=None)


def test_event_changes_have_a_path_and_both_values() -> None:
    payload = Payload(kind=Kind.CHANGE_LOG, changes=(EventChange("properties.a", None, {"b": [1]}),))
    assert record_of(a_capture(payload=payload))["changes"] == [
        {"path": "properties.a", "before": "null", "after": '{"b":[1]}'}
    ]


def test_verdict_has_each_cause_with_its_fix() -> None:
    verdict = Verdict(status=Status.INVALID, causes=(Cause("slug", "why", "what to do"),), age_s=-2.0)
    record = record_of(a_capture(verdict=verdict))
    assert record["verdict"]["causes"] == [{"slug": "slug", "explanation": "why", "fix": "what to do"}]
    assert (record["verdict"]["age_s"], record["row"]["causes"]) == (-2.0, ["slug"])


def test_input_has_its_type_and_its_value_as_json() -> None:
    values: dict[str, Any] = {
        '{"a":1}': ("object", {"a": 1}),
        "[1]": ("array", [1]),
        '"x"': ("string", "x"),
        "true": ("boolean", True),
        "null": ("null", None),
        "1.5": ("number", 1.5),
    }
    payload = Payload(kind=Kind.ACTION_RUN, inputs={text: value for text, (_, value) in values.items()})
    expected = [{"name": text, "type": kind, "text": text} for text, (kind, _) in values.items()]
    assert record_of(a_capture(payload=payload))["inputs"] == expected


def test_summary_has_every_field_of_the_payload() -> None:
    payload = Payload(
        kind=Kind.WORKFLOW_NODE,
        run_id=RUN_ID,
        user="zoë",
        origin="UI",
        blueprint="vm",
        entity="vm-1",
        workflow="deploy",
        node="check",
        workflow_run="wfr_1",
        via_agent=True,
        synchronized=False,
        problem="not whole",
    )
    record = record_of(
        a_capture(an_invocation(origin=MessageOrigin("org.runs", 0, 3, int(NOW * 1000))), payload=payload)
    )
    assert dict(record["summary"]) == {
        "what": "workflow node deploy#check",
        "message": "org.runs[0]@3",
        "message at": "2023-11-14T22:13:20.000Z",
        "run": RUN_ID,
        "by": "zoë from UI",
        "blueprint": "vm",
        "entity": "vm-1",
        "workflow": "deploy",
        "node": "check",
        "workflow run": "wfr_1",
        "sent by": "Port's execution agent",
        "in Port": "stays IN_PROGRESS until the handler reports its result",
        "body": "not whole",
    }
    row = record["row"]
    assert (row["source"], row["message"], row["name"]) == ("kafka", "org.runs[0]@3", "deploy#check")


def test_source_of_a_request_is_http_unless_it_is_a_replay() -> None:
    for replay_of, source in ((None, "http"), ("aa00", "replay")):
        row = row_record(Listed(1, a_capture(an_invocation(replay_of=replay_of)), 2))
        assert (row["source"], row["replay_of"], row["message"]) == (source, replay_of, None)


def test_expected_signature_is_computed_only_with_a_secret_and_a_whole_body() -> None:
    whole = a_capture()
    cut = a_capture(an_invocation(truncated=Truncation(size=10**6, sha256="0" * 64)))
    with_secret, without, truncated = (
        record_of(capture, secret=secret)["verdict"]["parts"]
        for capture, secret in ((whole, SECRET), (whole, None), (cut, SECRET))
    )
    assert with_secret["expected"] == with_secret["received"]
    assert (with_secret["note"], with_secret["timestamp_at"]) == (None, NOW)
    assert with_secret["signed_bytes"] == len(f"{int(NOW)}.") + len(a_body())
    assert (without["expected"], "no client secret" in without["note"]) == (None, True)
    assert (truncated["expected"], "only part of the body" in truncated["note"]) == (None, True)


def test_timestamp_may_be_in_seconds_or_milliseconds() -> None:
    moments: dict[str, float | None] = {
        str(int(NOW)): NOW,
        str(int(NOW * 1000)): NOW,
        "99999999999": 99_999_999_999.0,
        "100000000000": 100_000_000.0,
        "soon": None,
        "": None,
        "1" * 16: None,
    }
    for timestamp, moment in moments.items():
        capture = a_capture(an_invocation(headers=Headers((("x-port-timestamp", timestamp),))))
        assert record_of(capture)["verdict"]["parts"]["timestamp_at"] == moment, timestamp


def test_binary_body_is_shown_in_hexadecimal() -> None:
    record = body_record(b"\xffA~\x7f \x1f")
    assert (record["type"], record["text"], record["is_whole"]) == ("binary", None, True)
    assert record["hex"] == ["00000000  ff 41 7e 7f 20 1f".ljust(57) + "  .A~. ."]


def test_truncated_body_is_not_whole() -> None:
    assert [body_record(b"{}", size=size)["is_whole"] for size in (None, 2, 3)] == [True, True, False]
    assert [body_record(body)["type"] for body in (b"{}", b"{")] == ["json", "text"]


def test_failed_delivery_has_a_fault_and_no_status() -> None:
    delivery = Delivery(url="http://h", fault="timeout", error="too slow", latency_ms=2.5)
    record = record_of(a_capture(delivery=delivery))
    assert record["row"]["handler"] == {"status": None, "latency_ms": 2.5, "fault": "timeout"}
    assert (record["delivery"]["fault"], record["delivery"]["error"]) == ("timeout", "too slow")


def test_spans_record_shows_whether_it_is_complete() -> None:
    record = spans_record(Spans(((9, 7), (3, 3)), 4, is_complete=False))
    assert (record["spans"], record["count"], record["complete"]) == (((9, 7), (3, 3)), 4, False)


def test_difference_is_between_the_raw_body_and_the_signed_form() -> None:
    body = '{"action": "é", "n": 1}'.encode()
    for reading, raw, signed, offset in (
        ("js", " ", "", 10),
        ("python", "é", "\\u00e9", 12),
        ("with-trailing-newline", "", "\r\n", 24),
        ("kafka", None, None, None),  # nothing to remove
        ("raw", None, None, None),
        ("nonsense", None, None, None),
        (None, None, None, None),
    ):
        form = body + b"\r\n" if reading == "with-trailing-newline" else body
        headers = signed_headers(form, SECRET, str(int(NOW)))
        capture = a_capture(
            an_invocation(body, headers=Headers(headers)), verdict=Verdict(status=Status.REENCODED, signed_form=reading)
        )
        found = record_of(capture, secret=SECRET)["verdict"]["difference"]
        shown = found and (found["raw"]["differs"], found["signed"]["differs"], found["offset"])
        assert shown == (None if offset is None else (raw, signed, offset)), reading


def test_difference_of_binary_bytes_has_escapes_and_hex() -> None:
    # The time in the header is "{", and both continue alike: only the four bytes before it differ.
    packed = gzip.compress(b'{"a":"' + bytes(1000) + b'"}', mtime=ord("{"))
    headers = Headers((("content-encoding", "gzip"), *signed_headers(b"", SECRET, str(int(NOW)))))
    verdict = Verdict(status=Status.REENCODED, signed_form="decoded-gzip")
    found = record_of(a_capture(an_invocation(packed, headers=headers), verdict=verdict))["verdict"]["difference"]
    assert found["offset"] == 0
    assert found["raw"]["differs"] == "\x1f\\x8b\x08\0"
    assert found["raw"]["hex"] == "1f 8b 08 00"
    cut = a_capture(an_invocation(packed, headers=headers, truncated=Truncation(10**6, "0" * 64)), verdict=verdict)
    assert record_of(cut)["verdict"]["difference"] is None


def test_kafka_message_has_a_difference_in_its_two_headers_and_the_fate_of_a_message() -> None:
    value = signed_message(a_document(), SECRET, str(int(NOW)))
    message = an_invocation(value, headers=message_headers(value), origin=MessageOrigin("org.runs", 0, 3, None))
    verdict = Verdict(status=Status.VALID, signed_form="kafka")
    answered = {"delivery": Delivery(url="http://127.0.0.1:1/", status=202), "response": Response(status=202)}
    record = record_of(a_capture(message, verdict=verdict, **answered))
    found = record["verdict"]["difference"]
    assert "X-Port-Signature" in found["raw"]["differs"]
    assert found["signed"]["differs"] == ""
    assert record["fate"].endswith("until the consumer of the topic reports its result")
    assert record_of(a_capture(message, response=Response(status=401)))["fate"] is None


def test_response_is_unchanged_if_it_is_the_handlers_as_the_listener_relays_it() -> None:
    fields = {"status": 202, "headers": Headers((("x-a", "1"), ("connection", "close"))), "body": b"ok"}
    relayed = {**fields, "headers": Headers((("x-a", "1"),))}
    delivery = Delivery(url="http://127.0.0.1:1/", **fields)  # type: ignore[arg-type]
    for changed, is_unchanged in (({}, True), ({"body": b"no"}, False), ({"status": 500}, False)):
        response = Response(**{**relayed, **changed})  # type: ignore[arg-type]
        record = record_of(a_capture(delivery=delivery, response=response))
        assert record["response"]["unchanged"] is is_unchanged
    assert record_of(a_capture(response=Response(status=202)))["response"]["unchanged"] is False


def test_verdict_explains_the_problem_even_with_the_expected_signature() -> None:
    def about(verdict: Verdict, timestamp: str = str(int(NOW)), secret: Secret = SECRET, **fields: Any) -> str:
        headers = Headers(signed_headers(a_body(), secret, timestamp))
        text: str = record_of(a_capture(an_invocation(headers=headers, **fields), verdict=verdict), secret=SECRET)[
            "verdict"
        ]["about"]
        return text

    malformed = Verdict(status=Status.MALFORMED, causes=(TIMESTAMP_MALFORMED,))
    as_before = Verdict(status=Status.INVALID, signed_form="raw", causes=(TIMESTAMP_MALFORMED,))
    for verdict in (malformed, as_before):
        assert about(verdict, "yesterday") == "The timestamp is not a whole number. The signature matches anyway."
    assert about(malformed, "yesterday", Secret("x" * 40)) == "The timestamp is not a whole number."
    invalid = Verdict(status=Status.INVALID)
    assert about(invalid).startswith("The signature did not match the listener's client secret, but")
    assert about(invalid, secret=Secret("x" * 40)) == "The signature does not match."
    assert about(Verdict(status=Status.VALID, signed_form="raw")) == "The signature matches exactly these bytes."
    message = Verdict(status=Status.VALID, signed_form="kafka")
    assert about(message).endswith("this message, without its two signature headers.")


def test_row_has_a_bounded_digest_of_the_inputs_without_encrypted_inputs() -> None:
    inputs = {
        "key": "c2VjcmV0",
        "empty": "",
        "none": None,
        "title": "x" * 99,
        "cpu": 64,
        "on": False,
        "of": [1],
        "z": 1,
    }
    payload = Payload(kind=Kind.ACTION_RUN, inputs=inputs, censored=("key",))
    digest = [("title", "x" * 60 + "…"), ("cpu", "64"), ("on", "false"), ("of", "[1]")]
    assert row_record(Listed(1, a_capture(payload=payload), 2))["inputs"] == digest


def test_row_of_an_event_has_its_changes() -> None:
    payload = Payload(kind=Kind.AUTOMATION, changes=(EventChange("properties.replicas", 3, 5),))
    assert row_record(Listed(1, a_capture(payload=payload), 2))["inputs"] == [("properties.replicas", "5")]


def digest_of(document: Any) -> Any:
    capture = a_capture(an_invocation(json.dumps(document).encode()))
    return row_record(Listed(1, capture, 2))["inputs"]


def test_row_of_a_workflow_node_has_plain_members_of_its_body() -> None:
    body = {
        "nodeRunId": "wfnr_1",
        "run": "wfr_1",
        "node": "check",
        "key": encrypt_aes_gcm(SECRET, b"hidden" * 20),
        "short": encrypt_aes_gcm(SECRET, b""),
        "token": "***",
        "list": [1],
        "service": "broken-db",
        "replicas": 2,
        "text": "a b" * 30,
    }
    shown = [("service", "broken-db"), ("replicas", "2"), ("text", ("a b" * 30)[:60] + "…")]
    assert digest_of(body) == shown
    assert digest_of({"service": "broken-db"}) == [("service", "broken-db")]
    assert digest_of(["service"]) == digest_of({f"key{number}": [] for number in range(40)} | {"late": 1}) == []


def test_row_of_an_action_without_inputs_has_no_members_of_the_frame_from_port() -> None:
    assert digest_of({**a_document(), "payload": {"properties": {}}, "status": "TRIGGERED"}) == []
