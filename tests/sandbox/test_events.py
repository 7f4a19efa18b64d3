"""The records of `sandbox --json`: scripts read their fields by name."""

from __future__ import annotations

from port_hook_cli.sandbox.events import (
    ApiEvent,
    RunEvent,
    format_exports,
    kafka_fields,
    kafka_lines,
    sandbox_ready_record,
)


def test_records_of_calls_and_run_steps_have_the_documented_fields() -> None:
    call = ApiEvent(at=0.0, method="GET", path="/v1/x", status=200, run_id="r", note="looked").record
    assert call.keys() == {"schema", "type", "at", "method", "path", "status", "run_id", "note"}
    assert (call["type"], call["status"], call["note"]) == ("call", 200, "looked")
    step = RunEvent(at=0.0, run_id="r", action="create_vm", status="SUCCESS", note="ended").record
    assert step.keys() == {"schema", "type", "at", "run_id", "action", "status", "note"}
    assert (step["type"], step["status"], step["note"]) == ("run", "SUCCESS", "ended")


def test_ready_record_contains_the_kafka_topic() -> None:
    kafka = kafka_fields("org.runs", ["127.0.0.1:9092"], is_embedded=True)
    record = sandbox_ready_record("http://127.0.0.1:1", "id", "secret", kafka=kafka)
    assert record["kafka"] == {"brokers": ["127.0.0.1:9092"], "topic": "org.runs", "embedded": True}
    assert sandbox_ready_record("http://127.0.0.1:1", "id", "secret")["kafka"] is None


def test_broker_lines_list_the_limits_of_an_embedded_broker() -> None:
    own, *more = kafka_lines("org.runs", ["127.0.0.1:9092"], is_embedded=False)
    assert (own, more) == ("Publishing to org.runs at 127.0.0.1:9092.", [])
    _, limits = kafka_lines("org.runs", ["127.0.0.1:9092"], is_embedded=True)
    for words in ("for one consumer in each group", "no TLS and no passwords", "forgets its messages", "by time"):
        assert words in limits


def test_exports_contain_the_organization_for_a_consumer_of_its_topic() -> None:
    shown = format_exports("http://127.0.0.1:1", "id", "secret", "org_a")
    assert shown.splitlines()[-1] == "export PORT_ORG_ID=org_a"
    assert "PORT_ORG_ID" not in format_exports("http://127.0.0.1:1", "id", "secret")
