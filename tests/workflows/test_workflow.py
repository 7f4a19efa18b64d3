"""A workflow document is read if Port would accept it, and otherwise rejected with the reason."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from port_hook_cli.workflows.workflow import BadWorkflow, is_workflow, read_workflow

DEPLOY: dict[str, Any] = {
    "identifier": "deploy",
    "title": "Deploy service",
    "nodes": [
        {"identifier": "ship", "config": {"type": "WEBHOOK", "url": "https://example.com/ship", "synchronized": False}},
        {
            "identifier": "ready",
            "config": {"type": "CONDITION", "outlets": [{"identifier": "yes", "expression": ".outputs.check.ok"}]},
        },
        {"identifier": "check", "config": {"type": "WEBHOOK", "url": "https://example.com/check"}},
        {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
        {"identifier": "stop", "config": {"type": "AI"}},
    ],
    "connections": [
        {"sourceIdentifier": "ready", "targetIdentifier": "ship", "sourceOutletIdentifier": "yes"},
        {"sourceIdentifier": "ready", "targetIdentifier": "stop", "fallback": True},
        {"sourceIdentifier": "start", "targetIdentifier": "check"},
        {"sourceIdentifier": "check", "targetIdentifier": "ready"},
    ],
}


def changed(change: Any) -> dict[str, Any]:
    document = copy.deepcopy(DEPLOY)
    change(document)
    return document


def test_nodes_are_read_in_topological_order_and_synchronized_by_default() -> None:
    order = list(read_workflow(DEPLOY).nodes)
    assert order.index("start") < order.index("check") < order.index("ready") < order.index("ship")

    nodes = read_workflow(DEPLOY).nodes
    assert (nodes["check"].is_synchronized, nodes["ship"].is_synchronized) == (True, False)

    assert read_workflow({"ok": True, "workflow": DEPLOY}).identifier == "deploy"
    assert is_workflow({"ok": True, "workflow": DEPLOY})
    assert not is_workflow({"identifier": "create_vm", "trigger": {}})


def test_next_node_follows_an_outlet_or_the_fallback_without_an_outlet() -> None:
    workflow = read_workflow(DEPLOY)
    ready = workflow.nodes["ready"]
    following = [workflow.next_node(ready, outlet) for outlet in ("yes", None)]
    assert [node.identifier for node in following if node] == ["ship", "stop"]

    document = changed(lambda d: d["connections"].pop(0))
    workflow = read_workflow(document)
    assert workflow.next_node(workflow.nodes["ready"], "yes") is None


def test_outlets_are_read_under_their_older_names() -> None:
    def older(document: dict[str, Any]) -> None:
        config = document["nodes"][1]["config"]
        config["options"] = config.pop("outlets")
        document["connections"][0]["sourceOptionIdentifier"] = document["connections"][0].pop("sourceOutletIdentifier")

    workflow = read_workflow(changed(older))
    following = workflow.next_node(workflow.nodes["ready"], "yes")
    assert following is not None
    assert following.identifier == "ship"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("identifier"), "has no `identifier` in the workflow"),
        (lambda d: d.update(nodes=[]), "has no `nodes`"),
        (lambda d: d["nodes"].pop(3), "has no trigger. A run starts at"),
        (lambda d: d["nodes"][2]["config"].pop("url"), "has a WEBHOOK node check without a `config.url`"),
        (lambda d: d["nodes"].append(d["nodes"][0]), "has two nodes with the identifier ship"),
        (lambda d: d["nodes"][0].pop("config"), "has a node ship without a `config.type`"),
        (
            lambda d: d["connections"].append({"sourceIdentifier": "start", "targetIdentifier": "ship"}),
            "has two connections from start, but Port accepts one",
        ),
        (
            lambda d: d["connections"].append({"sourceIdentifier": "ship", "targetIdentifier": "start"}),
            "has a connection to its trigger start",
        ),
        (lambda d: d["connections"].append({"sourceIdentifier": "ship", "targetIdentifier": "check"}), "has a cycle: "),
        (
            lambda d: d["connections"][0].update(sourceOutletIdentifier="no"),
            "has a connection from ready at an outlet that it does not have: no",
        ),
        (
            lambda d: d["connections"][0].update(sourceOutletIdentifier=["no"]),
            "has a connection from ready at an outlet that it does not have: \\['no'\\]",
        ),
        (lambda d: d.update(nodes=d["nodes"] * 21), "has 105 nodes, but Port accepts at most 100"),
        (lambda d: d["nodes"][1]["config"].update(outlets={}), "has a node ready whose `outlets` are not a list"),
    ],
)
def test_invalid_workflow_is_rejected_with_the_reason(change: Any, message: str) -> None:
    with pytest.raises(BadWorkflow, match=message):
        read_workflow(changed(change))


def test_trigger_must_be_selected_when_there_are_several() -> None:
    document = changed(
        lambda d: d["nodes"].append(
            {"identifier": "nightly", "config": {"type": "SCHEDULE_TRIGGER", "cron": "0 3 * * *"}}
        )
    )
    workflow = read_workflow(document)
    assert workflow.trigger("nightly").identifier == "nightly"
    with pytest.raises(BadWorkflow, match="has several triggers: "):
        workflow.trigger()
    with pytest.raises(BadWorkflow, match=r"has no trigger ship\. Its triggers are: "):
        workflow.trigger("ship")
