"""Starts a workflow run at its trigger, or at the only node that runs, with given outputs of the other nodes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.action import Unmet, find_unmet
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.retry import earlier_outputs
from port_hook_cli.trigger.run_data import RunData
from port_hook_cli.workflows.nodes import NodeResult
from port_hook_cli.workflows.run import NodeRun, WorkflowRun, start
from port_hook_cli.workflows.shown_run import chosen_outlet
from port_hook_cli.workflows.workflow import BadWorkflow, Node, NodeType, Workflow

_NODE_TYPES = "A node can be triggered alone if it is a trigger, a WEBHOOK node or a KAFKA node."


def new_node_run_id() -> str:
    """Return a new node run ID."""
    return make_run_id(secrets.choice, "wfnr_")


class NotTriggered(UsageError):
    """The event does not meet the condition of the workflow's trigger, so Port would not start a run."""

    def __init__(self, unmet: Unmet) -> None:
        super().__init__(f"The workflow {unmet.action} {unmet.reason}.", hint="Pass another event.")
        self.unmet = unmet


@frozen(kw_only=True)
class WorkflowStart:
    """The start of a workflow run: its first node, and its data.

    `node` is a trigger or the only node that runs. None means the workflow's only trigger. With `continues`, the nodes
    after `node` also run. The keys of `outputs` are nodes. A node with an output does not run.
    """

    workflow: Workflow
    node: str | None = None
    data: RunData = field(default_factory=RunData)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    continues: bool = False

    @property
    def is_at_trigger(self) -> bool:
        """Whether the run starts at a trigger."""
        return self.node is None or self.workflow.nodes[self.node].is_trigger

    @property
    def stand_ins(self) -> Mapping[str, Mapping[str, Any]]:
        """The outputs of the nodes that the run reaches but does not run. The first node always runs."""
        if self.node is None or self.is_at_trigger:
            return self.outputs
        return {name: output for name, output in self.outputs.items() if self.continues and name != self.node}

    @property
    def running(self) -> tuple[str, ...]:
        """The identifiers of the nodes that can run."""
        if self.node is None or self.is_at_trigger:
            return tuple(self.workflow.nodes)
        return (self.node, *(self.workflow.nodes_after(self.node) if self.continues else ()))

    @property
    def form(self) -> PortAction:
        """The form of the run, as an action."""
        return form_of_workflow(self.workflow, self.node)

    @property
    def masker(self) -> Masker:
        """A masker for the secrets of the run."""
        return Masker(self.data.secret_values(self.form))


async def begin_run(begin: WorkflowStart, invoker: Invoker, *, at: str) -> WorkflowRun:
    """Return the run before its first step, started at `at` (RFC 3339).

    Raises UsageError for an unknown node and for a node that cannot be triggered, and NotTriggered for an event that
    does not meet the trigger's condition. Raises InvalidInputs and RenderError for the inputs of a trigger.
    """
    workflow, node = begin.workflow, begin.node
    found = None if node is None else workflow.nodes.get(node)
    for name in (node, *begin.outputs):
        if name is not None and name not in workflow.nodes:
            raise UsageError(
                f"The workflow {workflow.identifier} has no node {name}.", hint=f"It has: {', '.join(workflow.nodes)}."
            )
    try:
        trigger = found if found is not None and found.is_trigger else _trigger(begin, found)
    except BadWorkflow as problem:
        raise UsageError(f"The workflow {workflow.identifier} {problem}.", hint="Pass one: FILE#TRIGGER.") from problem
    user = begin.data.by.get("user")
    begun = start(
        workflow,
        trigger,
        output=await _trigger_output(begin, trigger, invoker, at),
        run_id=make_run_id(secrets.choice, "wfr_"),
        node_run_id=new_node_run_id(),
        next_id=new_node_run_id(),
        at=at,
        by=user if isinstance(user, Mapping) else {},
    )
    if found is None or found.is_trigger:
        return begun
    if not begin.continues and found.type not in {NodeType.WEBHOOK, NodeType.KAFKA}:
        raise UsageError(f"The node {found.identifier} has the type {found.type}.", hint=_NODE_TYPES)
    if begin.continues:
        return _at_node(begun, found, earlier_outputs(workflow, found.identifier, begin.outputs))
    return _at_node(replace(begun, workflow=replace(workflow, connections=())), found, begin.outputs)


def _trigger(begin: WorkflowStart, node: Node | None) -> Node:
    """Return the trigger of the run. For a single node, prefer a trigger that has an output to the first trigger."""
    if node is None:
        return begin.workflow.trigger()
    triggers = begin.workflow.triggers
    return next((each for each in triggers if each.identifier in begin.outputs), triggers[0])


async def _trigger_output(begin: WorkflowStart, trigger: Node, invoker: Invoker, at: str) -> Mapping[str, Any]:
    given, data = begin.outputs.get(trigger.identifier), begin.data
    if given is not None:
        return {**given, **await _inputs_instead(begin, trigger, invoker, at)}
    if trigger.type == NodeType.EVENT_TRIGGER:
        if data.event is None:
            raise UsageError(
                f"The trigger {trigger.identifier} runs for an event.", hint="Pass the event with --with event=FILE."
            )
        if begin.is_at_trigger and (unmet := await find_unmet(_automation(begin.workflow, trigger), data, invoker)):
            raise NotTriggered(unmet)
        return data.event
    if trigger.type != NodeType.SELF_SERVE_TRIGGER:
        return {}
    return await invoker.inputs(_form_of(begin.workflow, trigger), data, at=at)


async def _inputs_instead(begin: WorkflowStart, trigger: Node, invoker: Invoker, at: str) -> Mapping[str, Any]:
    """Return the inputs that override parts of the trigger's output. The inputs are checked, but may be incomplete."""
    properties = begin.data.properties
    if trigger.type != NodeType.SELF_SERVE_TRIGGER or not properties:
        return {}
    form = _form_of(begin.workflow, trigger)
    declared = {name: rules for name, rules in (form.inputs or {}).items() if name in properties}
    return await invoker.inputs(replace(form, inputs=declared, required=()), begin.data, at=at)


def _at_node(run: WorkflowRun, node: Node, outputs: Mapping[str, Mapping[str, Any]]) -> WorkflowRun:
    """Return a run that is at a node. The nodes before this node have the given outputs."""
    trigger = run.node_runs[0]
    others = tuple(
        _node_run(run, name, NodeResult.SUCCESS, output)
        for name, output in outputs.items()
        if name not in {node.identifier, trigger.node}
    )
    own = _node_run(run, node.identifier, None, {})
    return replace(run, node_runs=(trigger, *others, own), result=None)


def _node_run(run: WorkflowRun, node: str, result: NodeResult | None, output: Mapping[str, Any]) -> NodeRun:
    return NodeRun(
        id=new_node_run_id(),
        node=node,
        created_at=run.created_at,
        updated_at=run.created_at,
        result=result,
        output=output,
        outlet=chosen_outlet(output),
    )


def _automation(workflow: Workflow, trigger: Node) -> PortAction:
    """Return an event trigger as an automation, which has the same condition (Port's skill files)."""
    condition = trigger.config.get("condition")
    return PortAction(identifier=workflow.identifier, kind=ActionKind.AUTOMATION, condition=condition, method={})


def form_of_workflow(workflow: Workflow, node: str | None) -> PortAction:
    """Return the form of a workflow run, as an action: the form of the workflow's trigger, or an empty form."""
    triggers = [each for each in workflow.triggers if node in (None, each.identifier)] or list(workflow.triggers)
    return _form_of(workflow, triggers[0])


def _form_of(workflow: Workflow, trigger: Node) -> PortAction:
    """Return a self-service trigger as an action, which has the same form of inputs."""
    asked = trigger.config.get("userInputs")
    form = asked if isinstance(asked, Mapping) else {}
    declared = form.get("properties")
    return PortAction(
        identifier=workflow.identifier,
        kind=ActionKind.SELF_SERVICE,
        inputs=declared if isinstance(declared, Mapping) else {},
        required=form.get("required") or (),
        method={},
    )
