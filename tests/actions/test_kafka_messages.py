from __future__ import annotations

from typing import Any

import pytest

from port_hook_cli.actions.action import KAFKA, WEBHOOK, BadAction, read_action
from port_hook_cli.actions.kafka_messages import agent_config, agent_message, agent_node_message, node_message
from port_hook_cli.actions.request import RunContext, assemble_message, assemble_parts, request_template
from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Kind
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.javascript.values import write_json
from tests.factories import RUN_ID

METHOD = {"type": "WEBHOOK", "url": "http://127.0.0.1:8000", "agent": True, "synchronized": True}
NODE_RUN = "wfnr_0123456789abcdef"
RUN = RunContext(id=RUN_ID, by={"userId": "u"}, at="2026-01-01T00:00:00.000Z", origin="UI", properties={"title": "a"})


def a_kafka_action(**method: Any) -> dict[str, Any]:
    return {**create_vm_action(), "invocationMethod": {"type": "KAFKA", **method}}


def payload_of(document: Any) -> Any:
    return read_payload(write_json(document).encode(), Headers(()))


def test_agent_message_has_the_agents_fields_beside_the_body() -> None:
    message = agent_message({"vm": {"cpu": 2}, "context": {"team": "a"}}, METHOD, run_id=RUN_ID)
    assert message == {
        "vm": {"cpu": 2},
        "context": {"team": "a", "runId": RUN_ID},
        "payload": {"action": {"invocationMethod": METHOD}},
    }
    payload = payload_of(message)
    assert (payload.run_id, payload.via_agent, payload.synchronized) == (RUN_ID, True, True)

    body = {"payload": {"action": {"identifier": "create_vm", "invocationMethod": {"type": "WEBHOOK"}}, "entity": None}}
    message = agent_message(body, METHOD, run_id=RUN_ID)
    action = {"identifier": "create_vm", "invocationMethod": METHOD}
    assert message["payload"] == {"entity": None, "action": action}


def test_agent_message_of_an_unusual_body_can_be_read_by_the_agent() -> None:
    for body in ([1], {"payload": "text", "context": [1]}):
        message = agent_message(body, METHOD, run_id=RUN_ID)
        assert message["payload"]["action"]["invocationMethod"]["agent"] is True
        assert message["context"]["runId"] == RUN_ID


def test_agent_node_message_has_the_config_of_the_node() -> None:
    parts = {"url": "http://127.0.0.1:8000/do", "agent": True, "headers": {"X-Team": "a"}, "body": {"cpu": 2}}
    config = agent_config(assemble_parts(parts, owner="The node do", run_id=NODE_RUN, synchronized=True))
    message = agent_node_message(config, node_run_id=NODE_RUN)
    method = message["payload"]["action"]["invocationMethod"]
    assert (method["type"], method["agent"], method["synchronized"]) == ("WEBHOOK", True, True)
    assert "body" not in method
    assert message["context"] == {"runId": NODE_RUN, "nodeConfig": config}
    payload = payload_of(message)
    assert (payload.kind, payload.run_id, payload.via_agent) == (Kind.WORKFLOW_NODE, NODE_RUN, True)
    assert payload.inputs == {"cpu": 2}


def test_node_message_contains_both_run_ids() -> None:
    message = node_message([1], node_run_id=NODE_RUN, workflow_run_id="wfr_0123456789abcdef")
    assert message["payload"] == [1]
    payload = payload_of(message)
    assert (payload.run_id, payload.workflow_run) == (NODE_RUN, "wfr_0123456789abcdef")


def test_kafka_action_is_read_where_a_message_can_be_published() -> None:
    action = read_action(a_kafka_action(payload={"run": "{{ .run.id }}"}), methods=(WEBHOOK, KAFKA))
    assert action.is_message
    assert request_template(action) == {"payload": {"run": "{{ .run.id }}"}}
    with pytest.raises(BadAction, match="invoked by KAFKA"):
        read_action(a_kafka_action())


def test_message_of_a_kafka_action_is_its_rendered_payload_or_ports_default() -> None:
    action = read_action(a_kafka_action(payload={"run": "{{ .run.id }}"}), methods=(WEBHOOK, KAFKA))
    message = assemble_message(action, RUN, {"payload": {"run": RUN_ID}})
    assert (message.payload, message.properties) == ({"run": RUN_ID}, {"title": "a"})

    action = read_action(a_kafka_action(), methods=(WEBHOOK, KAFKA))
    message = assemble_message(action, RUN, {})
    assert message.payload["context"]["runId"] == RUN_ID
    assert message.payload["payload"]["action"]["invocationMethod"] == {"type": "KAFKA"}
