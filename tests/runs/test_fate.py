from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Kind, Response
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.values import write_json
from port_hook_cli.runs.fate import RunFate, command_end, run_fate
from port_hook_cli.runs.updates import RunReport, RunStatus
from port_hook_cli.runs.view import fate_message
from tests.factories import RUN_ID

RUN = "wfr_0123456789abcdef"
NODE_RUN = "wfnr_0123456789abcdef"
AGENT: dict[str, Any] = {
    "payload": {"action": {"invocationMethod": {"type": "WEBHOOK", "url": "https://a.example", "synchronized": False}}},
    "context": {
        "runId": NODE_RUN,
        "nodeConfig": {"type": "WEBHOOK", "agent": True, "body": {"service": "cart", "workflowRun": RUN}},
    },
}
LATEST: dict[str, Any] = {
    "service": "cart",
    "workflowRun": RUN,
    "headers": {},
    "payload": {
        "action": {
            "invocationMethod": {
                "type": "WEBHOOK",
                "url": "https://a.example",
                "synchronized": False,
                "body": {"service": "cart", "workflowRun": RUN},
            }
        }
    },
    "context": {"runId": NODE_RUN},
}
SYNC = {
    **AGENT,
    "context": {**AGENT["context"], "nodeConfig": {**AGENT["context"]["nodeConfig"], "synchronized": True}},
}


def fate(document: Any, status: int) -> tuple[RunFate, str]:
    payload = read_payload(write_json(document).encode(), Headers())
    found = run_fate(payload, Response(status=status))
    return found, fate_message(found, payload, is_good=status // 100 == 2)


def test_fate_of_a_workflow_node_is_described_in_the_terms_of_workflows() -> None:
    rows: list[tuple[Any, Any, Any, Any]] = [
        ({"runId": NODE_RUN}, 200, RunFate.NODE_DEPENDS, "ends with this response (SUCCESS)"),
        ({"runId": NODE_RUN}, 302, RunFate.NODE_DEPENDS, "ends with this response (FAILED)"),
        ({"runId": NODE_RUN}, 500, RunFate.NODE_FAILS, "this response ends the node as FAILED. Port does not document"),
        (
            {"runId": NODE_RUN, "synchronized": False},
            202,
            RunFate.WAITS,
            "stays IN_PROGRESS until the handler reports its result",
        ),
        ({"runId": NODE_RUN, "synchronized": False}, 500, RunFate.NODE_FAILS, "this response ends the node as FAILED"),
        ({"runId": NODE_RUN, "synchronized": True}, 500, RunFate.FAILURE, "the node is synchronized"),
        (AGENT, 500, RunFate.FAILURE, "execution agent sent this: it reports FAILED"),
        (LATEST, 202, RunFate.WAITS, "stays IN_PROGRESS until the handler reports its result"),
        (LATEST, 500, RunFate.FAILURE, "execution agent sent this: it reports FAILED"),
        (SYNC, 200, RunFate.SUCCESS, "the node is synchronized: this response ends it as SUCCESS"),
    ]
    for document, status, expected, message in rows:
        found, told = fate(document, status)
        assert (found, message in told) == (expected, True), told


def test_agent_fails_an_asynchronous_action_run_when_its_request_is_rejected() -> None:
    for synchronized in (False, None):
        method = {"type": "WEBHOOK", "agent": True, **({} if synchronized is None else {"synchronized": synchronized})}
        document = {"context": {"runId": "r_0123456789abcdef"}, "payload": {"action": {"invocationMethod": method}}}
        found, told = fate(document, 404)
        assert (found, "it reports FAILURE" in told) == (RunFate.FAILURE, True)
        assert fate(document, 202)[0] is (RunFate.DEPENDS if synchronized is None else RunFate.WAITS)


def test_body_wrapped_by_the_agent_is_read_as_the_original_body() -> None:
    for document in (AGENT, LATEST):
        payload = read_payload(write_json(document).encode(), Headers())
        assert (payload.kind, payload.run_id) == (Kind.WORKFLOW_NODE, NODE_RUN)
        assert payload.inputs == {"service": "cart", "workflowRun": RUN}
        assert (payload.workflow_run, payload.via_agent, payload.synchronized) == (RUN, True, False)


def test_body_of_a_node_with_its_own_template_is_read_from_its_context() -> None:
    document = {
        "context": {"workflowRunId": RUN, "nodeRunId": NODE_RUN, "workflow": "deploy", "node": "ship"},
        "payload": {"properties": {"service": "cart"}},
    }
    payload = read_payload(write_json(document).encode(), Headers())
    assert (payload.kind, payload.run_id, payload.workflow_run) == (Kind.WORKFLOW_NODE, NODE_RUN, RUN)
    assert (payload.workflow, payload.node, payload.inputs) == ("deploy", "ship", {"service": "cart"})


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    "document",
    [
        {"context": {"runId": "r_0123456789abcdef"}},
        {"context": {"nodeRunId": NODE_RUN, "workflowRunId": RUN}, "payload": {"service": "cart"}},
    ],
)
def test_run_of_a_message_stays_in_progress_regardless_of_the_response(document: Any, status: int) -> None:
    payload = read_payload(write_json(document).encode(), Headers())
    assert run_fate(payload, Response(status=status), is_message=True) is RunFate.WAITS


def test_run_of_a_message_for_the_agent_ends_with_the_reported_response_and_others_wait() -> None:
    method = {"type": "WEBHOOK", "url": "https://a.example", "agent": True, "synchronized": True}
    document = {"context": {"runId": "r_0123456789abcdef"}, "payload": {"action": {"invocationMethod": method}}}
    payload = read_payload(write_json(document).encode(), Headers())
    assert run_fate(payload, Response(status=200), is_message=True) is RunFate.SUCCESS
    document = {
        "context": {"runId": "r_0123456789abcdef"},
        "payload": {"action": {"invocationMethod": {"type": "KAFKA"}}},
    }
    assert fate(document, 200)[0] is RunFate.WAITS


def test_payload_of_a_kafka_node_is_read_as_its_inputs() -> None:
    document = {"context": {"nodeRunId": NODE_RUN, "workflowRunId": RUN}, "payload": {"service": "cart"}}
    payload = read_payload(write_json(document).encode(), Headers())
    assert (payload.kind, payload.run_id, payload.workflow_run) == (Kind.WORKFLOW_NODE, NODE_RUN, RUN)
    assert payload.inputs == {"service": "cart"}


NOTHING = RunReport()


def test_command_end_has_the_last_20_lines_of_a_failed_command() -> None:
    assert command_end(RUN_ID, 0, b"one\n", NOTHING) == RunReport(status=RunStatus.SUCCESS)

    tail = b"".join(b"line %d\n\n" % number for number in range(30))
    report = command_end(RUN_ID, 2, tail, NOTHING)
    assert report.status is RunStatus.FAILURE
    expected = "\n".join(f"line {number}" for number in range(10, 30))
    assert report.summary == f"The command ended with exit code 2.\n\n{expected}"


def test_command_end_shows_the_signal_and_the_users_summary_within_its_bounds() -> None:
    report = command_end(RUN_ID, 1, b"x" * 100_000, NOTHING)
    assert 4_000 < len(report.summary or "") < 4_100

    assert command_end(RUN_ID, 137, b"", NOTHING).summary == "The command ended with exit code 137 (signal 9)."

    report = command_end(RUN_ID, 1, b"x", RunReport(summary="mine", output={"a": 1}))
    assert (report.summary, report.output) == ("mine", {"a": 1})

    assert command_end(NODE_RUN, 1, b"x\n", NOTHING) == RunReport(status=RunStatus.FAILURE)


def test_command_end_of_an_interrupted_command_is_a_failure_whatever_its_exit_code() -> None:
    report = command_end(RUN_ID, 0, b"", RunReport(label="mine"), is_interrupted=True)
    assert (report.status, report.label) == (RunStatus.FAILURE, "Interrupted")
    assert report.summary == "The command was interrupted."
