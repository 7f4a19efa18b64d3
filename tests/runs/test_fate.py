from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.invocations.models import Headers, Kind, Response
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.values import write_json
from port_hook_cli.runs.fate import RunFate, run_fate
from port_hook_cli.runs.view import fate_message

RUN = "wfr_0123456789abcdef"
NODE_RUN = "wfnr_0123456789abcdef"
AGENT: dict[str, Any] = {
    "payload": {"action": {"invocationMethod": {"type": "WEBHOOK", "url": "https://a.example", "synchronized": False}}},
    "context": {
        "runId": NODE_RUN,
        "nodeConfig": {
            "type": "WEBHOOK",
            "agent": True,
            "body": {"service": "cart", "workflowRun": RUN},
        },
    },
}
NEWEST: dict[str, Any] = {
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


@pytest.mark.parametrize(
    ("document", "status", "expected", "message"),
    [
        ({"runId": NODE_RUN}, 200, RunFate.NODE_DEPENDS, "ends with this response (SUCCESS)"),
        ({"runId": NODE_RUN}, 500, RunFate.NODE_DEPENDS, "ends with this response (FAILED)"),
        ({"runId": NODE_RUN, "synchronized": False}, 202, RunFate.WAITS, "may still be waiting"),
        ({"runId": NODE_RUN, "synchronized": False}, 500, RunFate.UNDOCUMENTED, "Port does not document"),
        ({"runId": NODE_RUN, "synchronized": True}, 500, RunFate.FAILURE, "the node is synchronized"),
        (AGENT, 202, RunFate.WAITS, "may still be waiting"),
        (AGENT, 500, RunFate.FAILURE, "execution agent sent this: it reports FAILED"),
        (NEWEST, 202, RunFate.WAITS, "may still be waiting"),
        (NEWEST, 500, RunFate.FAILURE, "execution agent sent this: it reports FAILED"),
        (SYNC, 200, RunFate.SUCCESS, "the node is synchronized: this response ends it as SUCCESS"),
    ],
)
def test_fate_of_a_workflow_node_is_described_in_the_terms_of_workflows(
    document: Any, status: int, expected: RunFate, message: str
) -> None:
    found, told = fate(document, status)
    assert (found, message in told) == (expected, True), told


@pytest.mark.parametrize("synchronized", [False, None])
def test_the_agent_fails_an_asynchronous_action_run_whose_request_is_refused(synchronized: bool | None) -> None:
    method = {"type": "WEBHOOK", "agent": True, **({} if synchronized is None else {"synchronized": synchronized})}
    document = {"context": {"runId": "r_0123456789abcdef"}, "payload": {"action": {"invocationMethod": method}}}
    found, told = fate(document, 404)
    assert (found, "it reports FAILURE" in told) == (RunFate.FAILURE, True)
    assert fate(document, 202)[0] is (RunFate.DEPENDS if synchronized is None else RunFate.WAITS)


@pytest.mark.parametrize("document", [AGENT, NEWEST])
def test_body_wrapped_by_the_agent_is_read_as_the_original_body(document: dict[str, Any]) -> None:
    payload = read_payload(write_json(document).encode(), Headers())
    assert (payload.kind, payload.run_id) == (Kind.WORKFLOW_NODE, NODE_RUN)
    assert payload.inputs == {"service": "cart", "workflowRun": RUN}
    assert (payload.workflow_run, payload.via_agent, payload.synchronized) == (RUN, True, False)


def test_body_of_a_node_with_its_own_template_is_read_from_its_context() -> None:
    document = {
        "context": {
            "workflowRunId": RUN,
            "nodeRunId": NODE_RUN,
            "workflow": "deploy",
            "node": "ship",
        },
        "payload": {"properties": {"service": "cart"}},
    }
    payload = read_payload(write_json(document).encode(), Headers())
    assert (payload.kind, payload.run_id, payload.workflow_run) == (
        Kind.WORKFLOW_NODE,
        NODE_RUN,
        RUN,
    )
    assert (payload.workflow, payload.node, payload.inputs) == ("deploy", "ship", {"service": "cart"})


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    "document",
    [
        {"context": {"runId": "r_0123456789abcdef"}},
        {"context": {"nodeRunId": NODE_RUN, "workflowRunId": RUN}, "payload": {"service": "cart"}},
    ],
)
def test_run_of_a_message_waits_for_a_report_whatever_the_consumer_responds(document: Any, status: int) -> None:
    payload = read_payload(write_json(document).encode(), Headers())
    assert run_fate(payload, Response(status=status), is_message=True) is RunFate.WAITS


def test_run_of_a_message_for_the_agent_ends_with_the_response_that_the_agent_reports() -> None:
    method = {"type": "WEBHOOK", "url": "https://a.example", "agent": True, "synchronized": True}
    document = {"context": {"runId": "r_0123456789abcdef"}, "payload": {"action": {"invocationMethod": method}}}
    payload = read_payload(write_json(document).encode(), Headers())
    assert run_fate(payload, Response(status=200), is_message=True) is RunFate.SUCCESS


def test_kafka_action_waits_for_a_report_in_a_file_without_its_topic() -> None:
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
