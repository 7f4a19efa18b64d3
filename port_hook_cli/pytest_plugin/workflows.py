"""Runs workflows in a test: starts them, follows their graphs, and provides what their nodes need.

Call `run_whole` and `run_node` only in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, TypedDict

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.targets import parse_target
from port_hook_cli.invocations.view import format_time
from port_hook_cli.pytest_plugin.requests import deliver, port_request, run_data, url_to
from port_hook_cli.pytest_plugin.runs import (
    HandlerResponse,
    Run,
    WorkflowNotEnded,
    WorkflowOutcome,
    describe_workflow_not_ended,
)
from port_hook_cli.pytest_plugin.world import World
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.trigger.action import RunTarget
from port_hook_cli.trigger.workflow import with_targets
from port_hook_cli.trigger.workflow_start import WorkflowStart, begin_run, new_node_run_id
from port_hook_cli.workflows.nodes import NodeOutcome, require_outlet
from port_hook_cli.workflows.run import NodeRun, WorkflowRun
from port_hook_cli.workflows.walk import Resolution, Step, response_of, walk
from port_hook_cli.workflows.workflow import (
    BadWorkflow,
    Node,
    NodeType,
    Workflow,
)


class WorkflowArguments(TypedDict, total=False):
    """Optional properties of a workflow run.

    `to` is the handler: a URL or a port on this machine. `routes` maps nodes to their own handlers. `outputs` maps
    nodes that do not run to their outputs. `responses` maps INPUT nodes to the chosen outlets. `event` is for an event
    trigger. `by` is the user who started the run. `secrets` are the organization's secrets by name. `timeout_s` is the
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


async def run_whole(
    world: World,
    loaded: tuple[Mapping[str, Any], Workflow, str | None],
    inputs: Mapping[str, Any],
    options: WorkflowArguments,
) -> WorkflowOutcome:
    """Run a workflow from its trigger. Raises WorkflowNotEnded, UsageError, InvalidInputs and TypeError."""
    document, workflow, name = _sent_to_the_handler(loaded, options)
    try:
        trigger = workflow.trigger(name)
    except BadWorkflow as problem:
        raise UsageError(f"The workflow {workflow.identifier} {problem}.", hint="Pass one: FILE#TRIGGER.") from problem
    run = await _walked(world, document, workflow, trigger, inputs, options)
    return snapshot(world, run)


async def run_node(
    world: World,
    loaded: tuple[Mapping[str, Any], Workflow, str | None],
    inputs: Mapping[str, Any],
    options: WorkflowArguments,
) -> Run:
    """Run one WEBHOOK node with the given outputs of other nodes. Raises the same errors as `run_whole`."""
    document, workflow, name = _sent_to_the_handler(loaded, options)
    node = workflow.nodes.get(name or "")
    if node is None:
        raise UsageError(f"The workflow {workflow.identifier} has no node {name}. It has: {', '.join(workflow.nodes)}.")
    if node.type != NodeType.WEBHOOK:
        raise UsageError(f"The node {node.identifier} is a {node.type} node, but invoke runs only WEBHOOK nodes.")
    run = await _walked(world, document, workflow, node, inputs, options)
    return node_snapshot(world, run, run.node_runs[-1])


def _sent_to_the_handler(
    loaded: tuple[Mapping[str, Any], Workflow, str | None], options: WorkflowArguments
) -> tuple[Mapping[str, Any], Workflow, str | None]:
    """Return a loaded workflow in which the handler replaces each placeholder URL of a node."""
    document, workflow, name = loaded
    to, routes = options.get("to"), options.get("routes") or {}
    target = RunTarget(
        to=None if to is None else parse_target(str(to)),
        routes={node: parse_target(str(url)) for node, url in routes.items()},
    )
    return document, with_targets(workflow, target)[0], name


async def _walked(
    world: World,
    document: Mapping[str, Any],
    workflow: Workflow,
    node: Node,
    inputs: Mapping[str, Any],
    options: WorkflowArguments,
) -> WorkflowRun:
    """Return the run when it has ended. It starts at a trigger, or runs another node alone. Raises WorkflowNotEnded."""
    settings = _settings(world, workflow, options)
    run = await _begin(world, workflow, node, inputs, options)
    world.sandbox.keep_workflow_run(run, document)
    if not node.is_trigger:
        own = {name: output for name, output in settings.outputs.items() if name == node.identifier}
        settings = replace(settings, outputs=own)
    run = await walk(run, world.invoker.renderer, TestedWorkflow(world, settings))
    if run.current is not None:
        outcome, why = snapshot(world, run), _why(run, run.current, settings)
        raise WorkflowNotEnded(describe_workflow_not_ended(outcome, why, tuple(world.calls)), outcome)
    return run


async def _begin(
    world: World,
    workflow: Workflow,
    node: Node,
    inputs: Mapping[str, Any],
    options: WorkflowArguments,
) -> WorkflowRun:
    trigger, outputs = node if node.is_trigger else workflow.triggers[0], options.get("outputs") or {}
    needs_event = trigger.type == NodeType.EVENT_TRIGGER and trigger.identifier not in outputs
    if needs_event and not options.get("event"):
        raise UsageError(f"The trigger {trigger.identifier} needs an event: pass it as `event`.")
    begin = WorkflowStart(workflow=workflow, node=node.identifier, data=run_data(inputs, options), outputs=outputs)
    return await begin_run(begin, world.invoker, at=format_time(world.now()))


def _settings(world: World, workflow: Workflow, options: WorkflowArguments) -> WorkflowSettings:
    if unknown := options.keys() - _KNOWN:
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))} (known: {', '.join(_KNOWN)})")
    named: dict[str, Mapping[str, Any]] = {
        "routes": options.get("routes") or {},
        "outputs": options.get("outputs") or {},
        "responses": options.get("responses") or {},
    }
    for option, values in named.items():
        if unknown := values.keys() - workflow.nodes.keys():
            nodes = ", ".join(workflow.nodes)
            raise UsageError(
                f"`{option}` has unknown nodes: {', '.join(unknown)}. The nodes of {workflow.identifier} are: {nodes}."
            )
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
        return f"the INPUT node {node.identifier} waits for a response. Pass the response in `responses`."
    return f"{node.identifier} ({node_run.id}) was not reported within {settings.timeout_s:g} s."


@frozen(kw_only=True)
class WorkflowSettings:
    """The targets of a workflow run, and the outputs of the nodes that do not run.

    `timeout_s` is the timeout in seconds of each request and each report.
    """

    timeout_s: float
    to: str | int | None = None
    routes: Mapping[str, str | int] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    responses: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)


class TestedWorkflow:
    """Connects a workflow run in a test to the outside world. Use this class only in the event loop's thread."""

    __test__ = False

    def __init__(self, world: World, settings: WorkflowSettings) -> None:
        self.secrets = settings.secrets
        self._world = world
        self._settings = settings

    has_agent = False
    publishes = False

    def now(self) -> str:
        """Return the current time in RFC 3339."""
        return format_time(self._world.now())

    def new_node_run_id(self) -> str:
        """Return a new node run ID."""
        return new_node_run_id()

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        """Return the output that the test passed for a node, or None."""
        return self._settings.outputs.get(node.identifier)

    async def observe(self, step: Step) -> None:
        """Record a step in the sandbox, where the handler can then report the node."""
        self._world.sandbox.keep_workflow_run(step.run)

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        """Send a node's request to the handler. Raises UsageError for a URL that is not on this machine."""
        # `to` is the handler. A node that calls Port's own API does not call the handler.
        handler = None if is_in_ports_own(request.url) else self._settings.to
        to = self._settings.routes.get(node.identifier, handler)
        url = url_to(request.url, to, by_agent=request.agent, owner=f"The node {node.identifier}")
        name = f"{run.workflow.identifier}#{node.identifier}"
        # The request belongs to the node run.
        sent = port_request(name, request, url, self._world)
        delivery = await deliver(self._world, sent, self._settings.timeout_s)
        if delivery is None:
            seconds = f"{self._settings.timeout_s:g} s"
            return Delivery(url=url, fault="timeout", error=f"The handler did not respond within {seconds}.")
        if (response := HandlerResponse.of(delivery)) is not None:
            self._world.responses[sent.run_id] = response
        return delivery

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        """Respond to an INPUT node with the given response, or save the entity of an UPSERT_ENTITY node.

        Raises UsageError for a response that is not an outlet, and for a type of node that needs a given output.
        """
        if node.type == NodeType.UPSERT_ENTITY:
            return Resolution(outcome=self._world.sandbox.upsert_entity(config))
        if node.type == NodeType.INPUT:
            return self._answer(run, node, config)
        raise UsageError(
            f"port-hook does not run {node.type} nodes: pass the output of {node.identifier} in `outputs`."
        )

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:  # noqa: ARG002
        """Return what the handler reported for an asynchronous node, or None after the timeout."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._world.sandbox.wait_for_node_report(node_run.id)
        except TimeoutError:
            return None

    def _answer(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        button = self._settings.responses.get(node.identifier)
        if button is None:
            return None
        outlet = require_outlet(node, button).identifier
        return Resolution.chosen(outlet, config, [response_of(run.by, outlet)])


def snapshot(world: World, run: WorkflowRun) -> WorkflowOutcome:
    """Return a snapshot of a workflow run."""
    return WorkflowOutcome(
        id=run.id,
        workflow=run.workflow.identifier,
        status=run.status,
        result=None if run.result is None else str(run.result),
        nodes={each.node: node_snapshot(world, run, each) for each in run.node_runs},
    )


def node_snapshot(world: World, run: WorkflowRun, node_run: NodeRun) -> Run:
    """Return a snapshot of a node run."""
    report = world.sandbox.node_report(node_run.id)
    response = node_run.output.get("response")
    return Run(
        id=node_run.id,
        action=f"{run.workflow.identifier}#{node_run.node}",
        status=node_run.status,
        ended=node_run.result is not None,
        link=[*node_run.links, *report.links],
        external_run_id=report.external_run_id,
        status_label=report.status_label,
        response=response.get("data") if isinstance(response, Mapping) else None,
        logs=tuple(str(log.get("message", "")) for log in report.logs),
        request=world.requests.get(node_run.id),
        handler_response=world.responses.get(node_run.id),
        result=None if node_run.result is None else str(node_run.result),
        output=node_run.output,
        outlet=node_run.outlet,
    )


def node_runs(world: World) -> dict[str, Run]:
    """Return snapshots of all node runs in the sandbox, by ID."""
    runs = world.sandbox.workflow_runs.values()
    return {each.id: node_snapshot(world, run, each) for run in runs for each in run.node_runs}
