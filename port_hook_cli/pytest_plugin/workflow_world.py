"""What a workflow's run meets in a test: the backend, the sandbox that nodes are reported to, and given responses."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from port_hook_cli.invocations.records import format_time
from port_hook_cli.pytest_plugin.making import path_of
from port_hook_cli.pytest_plugin.runs import BackendResponse, PortRequest, Run, WorkflowOutcome
from port_hook_cli.pytest_plugin.sending import url_to
from port_hook_cli.pytest_plugin.world import World
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runs.urls import is_in_ports_own
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.workflows.outcome import NodeOutcome, NodeResult
from port_hook_cli.workflows.run import NodeRun, WorkflowRun
from port_hook_cli.workflows.walk import Resolution, Step
from port_hook_cli.workflows.workflow import Node, NodeType


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings:
    """Where the requests of a run go, and what stands in for nodes. `timeout_s` is for each request and report."""

    timeout_s: float
    to: str | int | None = None
    routes: Mapping[str, str | int] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    responses: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)


class TestedWorkflow:
    """The outside of a run in a test. Use it only in the event loop's thread."""

    __test__ = False

    def __init__(self, world: World, settings: WorkflowSettings) -> None:
        self.secrets = settings.secrets
        self._world = world
        self._settings = settings

    has_agent = False
    publishes = False

    def now(self) -> str:
        """Return the time in RFC 3339."""
        return format_time(self._world.now())

    def new_node_run_id(self) -> str:
        """Return a new id of a node run."""
        return make_run_id(secrets.choice, "wfnr_")

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        """Return the output that the test gave for a node."""
        return self._settings.outputs.get(node.identifier)

    async def observe(self, step: Step) -> None:
        """Record a step in the sandbox, where the node can then be reported."""
        self._world.sandbox.keep_workflow_run(step.run)

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        """Send a node's request to the backend; raises UsageError for a URL that is not on this machine."""
        assert run.current is not None
        node_run_id = run.current.id
        # `to` is the backend, and a node that calls Port's own API is not meant for it.
        backend = None if is_in_ports_own(request.url) else self._settings.to
        to = self._settings.routes.get(node.identifier, backend)
        url = url_to(request.url, to, by_agent=request.agent, owner=f"The node {node.identifier}")
        stamp = TimestampUnit.SECONDS.stamp(self._world.now())
        fields = signed_headers(request.content, self._world.sandbox.client_secret, stamp)
        headers = Headers((*request.headers, *fields))
        self._world.requests[node_run_id] = PortRequest(
            run_id=node_run_id,
            action=f"{run.workflow.identifier}#{node.identifier}",
            method=request.method,
            url=url,
            path=path_of(url),
            headers=dict(headers),
            body=request.content,
            synchronized=request.synchronized,
            errors=request.errors,
        )
        invocation = Invocation(
            id=node_run_id,
            received_at=self._world.now(),
            method=request.method,
            target=path_of(url),
            headers=headers,
            body=request.content,
        )
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                delivery = await self._world.deliver(node_run_id, invocation, url)
        except TimeoutError:
            seconds = f"{self._settings.timeout_s:g} s"
            return Delivery(url=url, fault="timeout", error=f"The backend did not respond within {seconds}.")
        if (response := BackendResponse.of(delivery)) is not None:
            self._world.responses[node_run_id] = response
        return delivery

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:  # noqa: ARG002
        """Answer an INPUT node with the given response, or save the entity of an UPSERT_ENTITY node.

        Raises UsageError for a response that is not an outlet, and for a type of node that needs an output.
        """
        if node.type == NodeType.UPSERT_ENTITY:
            return Resolution(outcome=self._world.sandbox.upsert_entity(config))
        if node.type == NodeType.INPUT:
            return self._answer(node)
        raise UsageError(
            f"port-hook does not run nodes of the type {node.type}: give the output of {node.identifier} in `outputs`."
        )

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:  # noqa: ARG002
        """Return what the backend reported for an asynchronous node, or None after the timeout."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._world.sandbox.wait_for_node_report(node_run.id)
        except TimeoutError:
            return None

    def _answer(self, node: Node) -> Resolution | None:
        button = self._settings.responses.get(node.identifier)
        if button is None:
            return None
        if button not in (names := [outlet.identifier for outlet in node.outlets]):
            raise UsageError(f"The node {node.identifier} has no outlet {button}, but {', '.join(names)}.")
        output = {
            "selectedOutlet": {"identifier": button},
            "responses": [{"buttonIdentifier": button, "inputs": {}}],
        }
        return Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS, output=output), outlet=button)


def snapshot(world: World, run: WorkflowRun) -> WorkflowOutcome:
    """Return a snapshot of a workflow's run."""
    return WorkflowOutcome(
        id=run.id,
        workflow=run.workflow.identifier,
        status=run.status,
        result=None if run.result is None else str(run.result),
        nodes={each.node: node_snapshot(world, run, each) for each in run.node_runs},
    )


def node_snapshot(world: World, run: WorkflowRun, node_run: NodeRun) -> Run:
    """Return a snapshot of a node's run."""
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
        backend_response=world.responses.get(node_run.id),
        result=None if node_run.result is None else str(node_run.result),
        output=node_run.output,
        outlet=node_run.outlet,
    )


def node_runs(world: World) -> dict[str, Run]:
    """Return snapshots of all runs of workflow nodes in the sandbox, by id."""
    runs = world.sandbox.workflow_runs.values()
    return {each.id: node_snapshot(world, run, each) for run in runs for each in run.node_runs}
