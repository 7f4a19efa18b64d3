"""Rules that Port's documents state for new workflows. A run on this machine does not need these rules.

The rules come from Port's skill files and its Terraform provider. A workflow from Port's API is read without them:
Port has accepted it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from port_hook_cli.text.safe import brief
from port_hook_cli.workflows.workflow import WITH_OUTLETS, BadWorkflow, Node, NodeType, Workflow, read_workflow

MAX_LINKS = 3
"""The maximum number of links that Port accepts in one node."""
MAX_IDENTIFIER = 60

# Port's Terraform provider also allows letters of other scripts. The skill files don't.
_IDENTIFIER = re.compile(r"[A-Za-z0-9@_:-]+")
_CHOICES = {"onFailure": ("terminate", "continue"), "onTimeout": ("fail", "continue")}


def read_new_workflow(document: Any) -> Workflow:
    """Return the workflow in a document from its author. Raises BadWorkflow with the first rule that it breaks."""
    workflow = read_workflow(document)
    for fault in _faults(workflow):
        raise BadWorkflow(fault)
    return workflow


def _faults(workflow: Workflow) -> Iterator[str]:
    yield from _identifier_faults(workflow.identifier, "an identifier")
    for node in workflow.nodes.values():
        yield from _node_faults(node)
    yield from _connection_faults(workflow)


def _node_faults(node: Node) -> Iterator[str]:
    yield from _identifier_faults(node.identifier, "a node identifier")
    if node.type not in list(NodeType):
        types = ", ".join(NodeType)
        yield f"has a node {node.identifier} with an unknown type, {brief(node.type)}. Port's types are: {types}"
    if len(node.links) > MAX_LINKS:
        yield f"has a node {node.identifier} with {len(node.links)} links, but Port accepts at most {MAX_LINKS}"
    for outlet in node.outlets:
        yield from _identifier_faults(outlet.identifier, f"an outlet of {node.identifier}")
    yield from _choice_faults(node)
    if node.type in _FAULTS:
        yield from _FAULTS[NodeType(node.type)](node)


def _choice_faults(node: Node) -> Iterator[str]:
    for name, choices in _CHOICES.items():
        value = node.config.get(name)
        if value is not None and value not in choices:
            shown = brief(value) if isinstance(value, str) else "not text"
            yield f"has a node {node.identifier} whose `{name}` is {shown}, but Port accepts {' or '.join(choices)}"


def _model_faults(node: Node) -> Iterator[str]:
    if (node.config.get("provider") is None) != (node.config.get("model") is None):
        yield f"has a node {node.identifier} with a `provider` or a `model`, but Port requires both or neither"


def _event_faults(node: Node) -> Iterator[str]:
    event = node.config.get("event")
    if isinstance(event, Mapping) and event.get("type") == "TIMER_EXPIRED" and not event.get("propertyIdentifier"):
        yield f"has a trigger {node.identifier} for TIMER_EXPIRED without an `event.propertyIdentifier`"


def _button_faults(node: Node) -> Iterator[str]:
    form = node.config.get("userInputs")
    listed = form.get("buttons") if isinstance(form, Mapping) else None
    buttons = (
        [each.get("identifier") for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    )
    for outlet in node.outlets:
        if outlet.identifier not in buttons:
            yield (
                f"has a node {node.identifier} whose outlet {outlet.identifier} has no button with this identifier in "
                "`userInputs.buttons`"
            )


_FAULTS = {
    NodeType.EVENT_TRIGGER: _event_faults,
    NodeType.INPUT: _button_faults,
    NodeType.AI: _model_faults,
    NodeType.AI_AGENT: _model_faults,
}


def _connection_faults(workflow: Workflow) -> Iterator[str]:
    for each in workflow.connections:
        source = workflow.nodes[each.source]
        if source.type in WITH_OUTLETS and each.outlet is None and not each.is_fallback:
            yield (
                f"has a connection from the {source.type} node {each.source} to {each.target} without a "
                "`sourceOutletIdentifier` or `fallback`. Port usually rejects it, according to its skill files"
            )


def _identifier_faults(identifier: str, where: str) -> Iterator[str]:
    shown = brief(identifier)
    if len(identifier) > MAX_IDENTIFIER:
        yield f"has {where} with {len(identifier)} characters, but Port accepts at most {MAX_IDENTIFIER}: {shown}"
    if not _IDENTIFIER.fullmatch(identifier):
        yield f"has {where} with characters that Port's skill files do not allow (only A-Z a-z 0-9 @ _ : -): {shown}"
