"""What a workflow's run meets outside when `trigger` walks it: handlers, the terminal, the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from port_hook_cli.actions.kafka_messages import WRAPPER_REMARK, agent_config, agent_node_message, node_message
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.errors import PortApiError, PortHookError, UsageError
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from port_hook_cli.invocations.records import format_time
from port_hook_cli.invocations.url_text import sendable_url
from port_hook_cli.port_api.sandbox_notice import DELIVERIES
from port_hook_cli.runs.updates import run_path
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import TimestampUnit, signed_headers
from port_hook_cli.terminal.prompts import ask_in_loop, can_ask
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import Secret
from port_hook_cli.trigger.destination import destination
from port_hook_cli.workflows.outcome import NodeOutcome, NodeResult
from port_hook_cli.workflows.run import COMPLETED, NodeRun, WorkflowRun
from port_hook_cli.workflows.walk import Resolution, Step
from port_hook_cli.workflows.workflow import Node, NodeType, Outlet

if TYPE_CHECKING:
    from port_hook_cli.http.client import HttpClient
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.trigger.publishing import SignedTopic

_PAUSE_S = 0.2
_SKIPPED = "port-hook does not run nodes of the type {}; give an output with --output {}=JSON"
_NOT_PUBLISHED = "nothing is published without --kafka HOST:PORT; give an output with --output {}=JSON"
_NOT_SAVED = "no sandbox is used (PORT_API_URL), so the entity was not saved"
_UNKNOWN_OUTPUT = "Port does not document the output of an UPSERT_ENTITY node"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    """What the user said about the outside. Targets are URLs; times are in seconds.

    `outputs` and `responses` are by node: an output stands in for running the node, a response is a button.
    """

    to: str | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    to_its_url: bool = False
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    responses: Mapping[str, str] = field(default_factory=dict)
    unit: TimestampUnit = TimestampUnit.SECONDS
    sign: bool = True
    wait_s: float = 0.0


class HandlerEffects:
    """The outside of a run on this machine. `secret` is asked for when the first request is signed.

    `api` is the sandbox, where there is one: entities are saved there, and asynchronous nodes are reported to it.
    """

    def __init__(
        self,
        options: WorkflowOptions,
        *,
        secrets: Mapping[str, Any],
        secret: Callable[[], Secret],
        client: HttpClient,
        api: PortApi | None,
        observe: Callable[[Step, str | None], None],
        new_node_run_id: Callable[[], str],
        runtime: Runtime,
        topic: SignedTopic | None = None,
    ) -> None:
        self.secrets = secrets
        self._options = options
        self._secret = secret
        self._client = client
        self._api = api
        self._observe = observe
        self._new_node_run_id = new_node_run_id
        self._runtime = runtime
        self._topic = topic
        self.publishes = topic is not None

    has_agent = False

    def now(self) -> str:
        """Return the time in RFC 3339."""
        return format_time(self._runtime.now())

    def new_node_run_id(self) -> str:
        """Return a new id of a node run."""
        return self._new_node_run_id()

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        """Return what --outputs and --output say of a node."""
        return self._options.outputs.get(node.identifier)

    async def observe(self, step: Step) -> None:
        """Show a step."""
        self._observe(step, None if step.request is None else self._shown_url(step.node, step.request))

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        """Send a node's request to the user's handler, also one that Port's agent would send without a topic."""
        if request.agent and self._topic is not None:
            if self._options.wait_s and self._api is not None:
                await self._announce(self._api, run, node)
            config = agent_config(request)
            await self._topic.publish(agent_node_message(config, node_run_id=request.run_id))
            return None
        if self._options.wait_s and not request.synchronized and self._api is not None:
            await self._announce(self._api, run, node)
        content, now = request.content, self._runtime.now()
        fields = signed_headers(content, self._secret(), self._options.unit.stamp(now)) if self._options.sign else ()
        invocation = Invocation(
            id=self._runtime.new_id(),
            received_at=now,
            method=request.method,
            target="/",
            headers=Headers((*request.headers, *fields)),
            body=content,
        )
        return await self._client.send(invocation, sendable_url(self._url(node, request)))

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        """Answer an INPUT node, save an entity, publish a message, or pass over a node that port-hook does not run."""
        if node.type == NodeType.KAFKA and self._topic is not None:
            return Resolution(outcome=await self._publish(run, node, config, self._topic))
        if node.type == NodeType.INPUT:
            return await self._respond(node)
        if node.type == NodeType.UPSERT_ENTITY:
            return await self._upsert(config)
        is_message = node.type == NodeType.KAFKA
        name = brief(node.identifier)
        remark = _NOT_PUBLISHED.format(name) if is_message else _SKIPPED.format(brief(node.type), name)
        return Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS, remarks=(remark,)))

    async def _publish(
        self, run: WorkflowRun, node: Node, config: Mapping[str, Any], topic: SignedTopic
    ) -> NodeOutcome:
        assert run.current is not None
        if self._options.wait_s and self._api is not None:
            await self._announce(self._api, run, node)
        message = node_message(config.get("payload"), node_run_id=run.current.id, workflow_run_id=run.id)
        place = await topic.publish(message)
        return NodeOutcome(result=None, remarks=(f"published to {place}", WRAPPER_REMARK))

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:  # noqa: ARG002
        """Return what the sandbox was told of an asynchronous node, waiting for it for as long as the user said."""
        if self._api is None or not self._options.wait_s:
            return None
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._options.wait_s
        while True:
            found = await self._node_run(node_run.id)
            if found.get("status") == COMPLETED:
                return NodeOutcome(result=NodeResult(str(found.get("result"))), output=found.get("output") or {})
            if clock() > deadline:
                return None
            await asyncio.sleep(_PAUSE_S)

    async def _announce(self, api: PortApi, run: WorkflowRun, node: Node) -> None:
        """Add the node run to the sandbox, so that the handler can report it, even with --strict-runs."""
        assert run.current is not None
        delivery = {"runId": run.current.id, "action": f"{run.workflow.identifier}#{node.identifier}", "properties": {}}
        with contextlib.suppress(PortHookError):  # without it, the sandbox makes the run up when it is reported
            await api.call("POST", DELIVERIES, delivery)

    async def _node_run(self, identifier: str) -> Mapping[str, Any]:
        assert self._api is not None
        answer = await self._api.call("GET", run_path(identifier))
        found = answer.get("nodeRun")
        return found if isinstance(found, Mapping) else {}

    async def _respond(self, node: Node) -> Resolution | None:
        button = self._options.responses.get(node.identifier)
        if button is None and can_ask(self._runtime):
            names = ", ".join(outlet.identifier for outlet in node.outlets)
            button = await ask_in_loop(f"{brief(node.name)}: which outlet ({brief(names)})?", self._runtime)
        if not button:
            return None
        outlet = _outlet(node, button)
        output = {
            "selectedOutlet": {"identifier": outlet.identifier},
            "responses": [{"buttonIdentifier": outlet.identifier, "inputs": {}}],
        }
        return Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS, output=output), outlet=outlet.identifier)

    async def _upsert(self, config: Mapping[str, Any]) -> Resolution:
        mapping = config.get("mapping")
        entity = dict(mapping) if isinstance(mapping, Mapping) else {}
        blueprint = str(config.get("blueprintIdentifier") or "")
        if self._api is None:
            remarks: tuple[str, ...] = (_NOT_SAVED, _UNKNOWN_OUTPUT)
            return Resolution(
                outcome=NodeOutcome(result=NodeResult.SUCCESS, output={"entity": entity}, remarks=remarks)
            )
        path = f"/v1/blueprints/{quote(blueprint, safe='')}/entities?upsert=true&merge=true"
        try:
            answer = await self._api.call("POST", path, entity)
        except PortApiError as problem:
            return Resolution(
                outcome=NodeOutcome(result=NodeResult.FAILED, output={"error": {"message": problem.message}})
            )
        output = {"entity": answer.get("entity") or entity}
        return Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS, output=output, remarks=(_UNKNOWN_OUTPUT,)))

    def _shown_url(self, node: Node, request: RenderedRequest) -> str:
        return request.url if request.agent and self._topic is not None else self._url(node, request)

    def _url(self, node: Node, request: RenderedRequest) -> str:
        to = self._options.routes.get(node.identifier, self._options.to)
        return destination(request.url, to, to_its_url=self._options.to_its_url, owner=f"The node {node.identifier}")


def _outlet(node: Node, button: str) -> Outlet:
    found = next((outlet for outlet in node.outlets if outlet.identifier == button), None)
    if found is None:
        names = ", ".join(outlet.identifier for outlet in node.outlets) or "none"
        raise UsageError(
            f"The node {node.identifier} has no outlet {button}; it has: {names}.",
            hint=f"Write it like --respond {node.identifier}=OUTLET.",
        )
    return found
