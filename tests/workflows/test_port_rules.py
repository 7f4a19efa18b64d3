"""New workflows that Port's documents exclude are rejected with the reason. Workflows from Port are not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from port_hook_cli.workflows.port_rules import read_new_workflow
from port_hook_cli.workflows.workflow import BadWorkflow, read_workflow

FLOW: dict[str, Any] = {
    "identifier": "deploy@eu:1_a-B",
    "nodes": [
        {
            "identifier": "timer",
            "config": {
                "type": "EVENT_TRIGGER",
                "event": {"type": "TIMER_EXPIRED", "blueprintIdentifier": "vm", "propertyIdentifier": "ttl"},
            },
        },
        {"identifier": "sum", "config": {"type": "AI", "userPrompt": "Sum up", "provider": "openai", "model": "gpt"}},
        {
            "identifier": "ask",
            "config": {
                "type": "INPUT",
                "userInputs": {"buttons": [{"identifier": "yes", "label": "Yes"}]},
                "outlets": [{"identifier": "yes", "evaluationMethod": "button"}],
            },
        },
        {
            "identifier": "call",
            "links": ["https://a.example", "https://b.example", "https://c.example"],
            "config": {"type": "WEBHOOK", "url": "https://example.com", "onFailure": "continue", "onTimeout": "fail"},
        },
        {
            "identifier": "is_ok",
            "config": {"type": "CONDITION", "outlets": [{"identifier": "ok", "expression": "true"}]},
        },
        {"identifier": "fix", "config": {"type": "CURSOR_AGENT"}},
        {"identifier": "note", "config": {"type": "AI_AGENT", "agentIdentifier": "triage"}},
    ],
    "connections": [
        {"sourceIdentifier": "timer", "targetIdentifier": "sum"},
        {"sourceIdentifier": "sum", "targetIdentifier": "ask"},
        {"sourceIdentifier": "ask", "targetIdentifier": "call", "sourceOutletIdentifier": "yes"},
        {"sourceIdentifier": "call", "targetIdentifier": "is_ok"},
        {"sourceIdentifier": "is_ok", "targetIdentifier": "fix", "sourceOutletIdentifier": "ok"},
        {"sourceIdentifier": "is_ok", "targetIdentifier": "note", "fallback": True},
    ],
}


def config(document: dict[str, Any], node: int) -> dict[str, Any]:
    found: dict[str, Any] = document["nodes"][node]["config"]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(identifier="my flow"), "has an identifier with characters that .*: my flow"),
        (lambda d: d.update(identifier="d\u00e9ploy"), "has an identifier with characters that "),
        (lambda d: d.update(identifier="a" * 61), "has an identifier with 61 characters, but Port accepts at most 60"),
        (lambda d: config(d, 4)["outlets"].append({"identifier": "a b"}), "has an outlet of is_ok with characters"),
        (lambda d: config(d, 5).update(type="CARRIER_PIGEON"), "a node fix with an unknown type, CARRIER_PIGEON. Port"),
        (lambda d: config(d, 3).update(onFailure="retry"), "`onFailure` is retry, but Port accepts terminate or cont"),
        (lambda d: d["nodes"][3]["links"].append("https://d.example"), "node call with 4 links, but Port accepts at "),
        (lambda d: config(d, 1).pop("model"), "node sum with a `provider` or a `model`, but Port requires both or ne"),
        (lambda d: config(d, 6).update(model="gpt"), "has a node note with a `provider` or a `model`"),
        (
            lambda d: config(d, 0)["event"].pop("propertyIdentifier"),
            "trigger timer for TIMER_EXPIRED without an `event",
        ),
        (lambda d: config(d, 2).pop("userInputs"), "has a node ask whose outlet yes has no button"),
        (lambda d: config(d, 2)["userInputs"].update(buttons=[{"identifier": "no"}]), "outlet yes has no button"),
        (
            lambda d: d["connections"][2].pop("sourceOutletIdentifier"),
            "the INPUT node ask to call without a `sourceOut",
        ),
        (lambda d: d["connections"][5].pop("fallback"), "CONDITION node is_ok to note without .* Port usually rejects"),
    ],
)
def test_new_workflow_is_rejected_when_ports_documents_exclude_it(change: Any, message: str) -> None:
    document = copy.deepcopy(FLOW)
    read_new_workflow(document)
    change(document)
    with pytest.raises(BadWorkflow, match=message):
        read_new_workflow(document)


def test_workflow_from_port_is_read_without_the_rules_for_new_workflows() -> None:
    document = copy.deepcopy(FLOW)
    document["identifier"] = "my flow"
    config(document, 5)["type"] = "CARRIER_PIGEON"
    assert read_workflow(document).nodes["fix"].type == "CARRIER_PIGEON"
