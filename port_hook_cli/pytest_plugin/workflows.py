"""Workflows in a test: read, started, and taken along their graphs. Call `run_whole` and `run_node` in the loop."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, TypedDict

from port_hook_cli.actions.request import RunContext
from port_hook_cli.actions.samples import create_vm
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.records import format_time
from port_hook_cli.pytest_plugin.actions import ActionSource, find_file
from port_hook_cli.pytest_plugin.runs import Run, WorkflowNotEnded, WorkflowOutcome
from port_hook_cli.pytest_plugin.summary import describe_workflow_not_ended
from port_hook_cli.pytest_plugin.workflow_world import TestedWorkflow, WorkflowSettings, node_snapshot, snapshot
from port_hook_cli.pytest_plugin.world import World
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox.definition_files import read_workflows
from port_hook_cli.trigger.documents import read_by
from port_hook_cli.trigger.workflow_run import as_action
from port_hook_cli.workflows.outcome import NodeResult
from port_hook_cli.workflows.run import NodeRun, WorkflowRun, start
from port_hook_cli.workflows.walk import walk
from port_hook_cli.workflows.workflow import (
    BadWorkflow,
    Node,
    NodeType,
    Workflow,
    read_workflow,
    unwrapped,
)


class WorkflowArguments(TypedDict, total=False):
    """Optional properties of a workflow's run.

    `to` is the backend: a URL or a port on this machine; `routes` maps nodes to their own. `outputs` maps nodes that
    do not run to their outputs, `responses` INPUT nodes to the outlets that are chosen. `event` is for an event
    trigger, `by` the user who started the run, `secrets` the organization's secrets by name. `timeout_s` is the
    timeout in seconds of each request, and of each report of an asynchronous node.
    """

    to: str | int | None
    routes: Mapping[str, str | int]
    outputs: Mapping[str, Mapping[str, Any]]
    responses: Mapping[str, str]
    event: Mapping[str, Any]
    by: Mapping[str, Any]
    secrets: Mapping[str, str]
    timeout_s: float | None


_KNOWN = WorkflowArguments.__annotations__.keys()


def load_workflow(source: ActionSource, folders: Sequence[Path]) -> tuple[Mapping[str, Any], Workflow, str | None]:
    """Return a workflow's document, the workflow, and the node that FILE#NODE names; raises UsageError."""
    if isinstance(source, Mapping):
        document, node = unwrapped(source), None
    else:
        name, mark, last = str(source).rpartition("#")
        file = find_file(Path(name if mark else last), folders)
        documents = read_workflows([file])
        if len(documents) != 1:
            raise UsageError(f"{file} has {len(documents)} workflows; a test needs a file with one.")
        document, node = documents[0], last if mark else None
    try:
        return document, read_workflow(document), node
    except BadWorkflow as problem:
        raise UsageError(f"The workflow {problem}.") from problem


def names_a_node(source: ActionSource, folders: Sequence[Path]) -> bool:
    """Whether `source` is FILE#NODE of a workflow, and not an action; raises UsageError for a file that is missing."""
    if not isinstance(source, (str, PurePath)) or "#" not in str(source):
        return False
    file = find_file(Path(str(source).rpartition("#")[0]), folders)
    try:
        return bool(read_workflows([file]))
    except UsageError:
        return False  # it is reported as an action


async def run_whole(
    world: World,
    loaded: tuple[Mapping[str, Any], Workflow, str | None],
    inputs: Mapping[str, Any],
    options: WorkflowArguments,
) -> WorkflowOutcome:
    """Run a workflow from its trigger; raises WorkflowNotEnded, UsageError, InvalidInputs and TypeError."""
    document, workflow, name = loaded
    try:
        trigger = workflow.trigger(name)
    except BadWorkflow as problem:
        raise UsageError(f"The workflow {workflow.identifier} {problem}.", hint="Name one: FILE#TRIGGER.") from problem
    settings = _settings(world, workflow, options)
    run = await _started(world, workflow, trigger, inputs, options)
    world.sandbox.keep_workflow_run(run, document)
    run = await walk(run, world.invoker.renderer, TestedWorkflow(world, settings))
    outcome = snapshot(world, run)
    if run.current is not None:
        raise WorkflowNotEnded(
            describe_workflow_not_ended(outcome, _why(run, run.current, settings), tuple(world.calls)), outcome
        )
    return outcome


async def run_node(
    world: World,
    loaded: tuple[Mapping[str, Any], Workflow, str | None],
    inputs: Mapping[str, Any],
    options: WorkflowArguments,
) -> Run:
    """Run one WEBHOOK node; the outputs of others are given. Raises what `run_whole` does."""
    document, workflow, name = loaded
    node = workflow.nodes.get(name or "")
    if node is None:
        raise UsageError(f"The workflow {workflow.identifier} has no node {name}; it has: {', '.join(workflow.nodes)}.")
    if node.type != NodeType.WEBHOOK:
        raise UsageError(f"The node {node.identifier} is of the type {node.type}; invoke runs WEBHOOK nodes.")
    settings = _settings(world, workflow, options)
    begun = await _started(world, workflow, workflow.triggers[0], inputs, options)
    run = _only(world, begun, node, settings.outputs)
    world.sandbox.keep_workflow_run(run, document)
    own = {name: output for name, output in settings.outputs.items() if name == node.identifier}
    run = await walk(run, world.invoker.renderer, TestedWorkflow(world, replace(settings, outputs=own)))
    if run.current is not None:
        outcome = snapshot(world, run)
        raise WorkflowNotEnded(
            describe_workflow_not_ended(outcome, _why(run, run.current, settings), tuple(world.calls)), outcome
        )
    return node_snapshot(world, run, run.node_runs[-1])


async def _started(
    world: World, workflow: Workflow, trigger: Node, inputs: Mapping[str, Any], options: WorkflowArguments
) -> WorkflowRun:
    default_by: Mapping[str, Any] = create_vm("", at="")["trigger"]["by"]
    by = read_by(options["by"], default_by) if "by" in options else default_by
    at = format_time(world.now())
    output: Mapping[str, Any] = options.get("event") or {}
    if (given := (options.get("outputs") or {}).get(trigger.identifier)) is not None:
        output = given
    elif trigger.type == NodeType.EVENT_TRIGGER and not output:
        raise UsageError(f"The trigger {trigger.identifier} needs an event: give it as `event`.")
    elif trigger.type == NodeType.SELF_SERVE_TRIGGER:
        form = RunContext(id="", by=by, at=at, origin="UI", properties=inputs)
        output = await world.invoker.inputs(as_action(workflow, trigger.identifier), form)
    user = by.get("user")
    return start(
        workflow,
        trigger,
        output=output,
        run_id=make_run_id(secrets.choice, "wfr_"),
        node_run_id=make_run_id(secrets.choice, "wfnr_"),
        next_id=make_run_id(secrets.choice, "wfnr_"),
        at=at,
        by=user if isinstance(user, Mapping) else {},
    )


def _only(world: World, run: WorkflowRun, node: Node, outputs: Mapping[str, Mapping[str, Any]]) -> WorkflowRun:
    """Return a run of one node: the others have the given outputs, and nothing follows it."""
    trigger = run.node_runs[0]
    at = format_time(world.now())
    others = [
        NodeRun(
            id=make_run_id(secrets.choice, "wfnr_"),
            node=name,
            created_at=at,
            updated_at=at,
            result=NodeResult.SUCCESS,
            output=output,
        )
        for name, output in outputs.items()
        if name not in {node.identifier, trigger.node}
    ]
    own = NodeRun(id=make_run_id(secrets.choice, "wfnr_"), node=node.identifier, created_at=at, updated_at=at)
    alone = replace(run.workflow, connections=())
    return replace(run, workflow=alone, node_runs=(trigger, *others, own), result=None)


def _settings(world: World, workflow: Workflow, options: WorkflowArguments) -> WorkflowSettings:
    if unknown := options.keys() - _KNOWN:
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))}; known are {', '.join(_KNOWN)}")
    named: dict[str, Mapping[str, Any]] = {
        "routes": options.get("routes") or {},
        "outputs": options.get("outputs") or {},
        "responses": options.get("responses") or {},
    }
    for option, values in named.items():
        if unknown := values.keys() - workflow.nodes.keys():
            nodes = ", ".join(workflow.nodes)
            raise UsageError(f"`{option}` names {', '.join(unknown)}; {workflow.identifier} has the nodes {nodes}.")
    seconds = options.get("timeout_s")
    return WorkflowSettings(
        timeout_s=world.timeout_s if seconds is None else seconds,
        to=options.get("to"),
        routes=named["routes"],
        outputs=named["outputs"],
        responses=named["responses"],
        secrets=options.get("secrets") or {},
    )


def _why(run: WorkflowRun, node_run: NodeRun, settings: WorkflowSettings) -> str:
    node = run.node(node_run)
    if node.type == NodeType.INPUT:
        return f"the INPUT node {node.identifier} waits for a response; give one in `responses`."
    return f"{node.identifier} ({node_run.id}) was not reported within {settings.timeout_s:g} s."
