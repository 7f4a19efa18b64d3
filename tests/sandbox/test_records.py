"""The records of `sandbox --json`: scripts read their fields by name."""

from __future__ import annotations

from port_hook_cli.sandbox.records import sandbox_call_record, sandbox_run_record


def test_records_of_calls_and_run_steps_have_the_documented_fields() -> None:
    call = sandbox_call_record(0.0, "GET", "/v1/x", 200, run_id="r", note="looked")
    assert call.keys() == {"schema", "type", "at", "method", "path", "status", "run_id", "note"}
    assert (call["type"], call["status"], call["note"]) == ("call", 200, "looked")
    step = sandbox_run_record(0.0, "r", "create_vm", "SUCCESS", "ended")
    assert step.keys() == {"schema", "type", "at", "run_id", "action", "status", "note"}
    assert (step["type"], step["status"], step["note"]) == ("run", "SUCCESS", "ended")
