"""The outside world of a workflow run that `trigger` walks: handlers, a broker, the sandbox and the user."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from port_hook_cli.actions.kafka_messages import WRAPPER_REMARK, agent_config, agent_node_message, node_message
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.errors import PortApiError, PortHookError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.source import Recipient
from port_hook_cli.invocations.targets import sendable_url
from port_hook_cli.invocations.view import format_time
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runs.updates import run_path
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.remark import Remark, note
from port_hook_cli.text.safe import brief
from port_hook_cli.trigger.action import RunTarget, signed, signed_content
from port_hook_cli.trigger.remarks import request_remarks
from port_hook_cli.trigger.sandbox_run import ASK_TIMEOUT_S, asked_for_a_moment
from port_hook_cli.trigger.workflow_start import WorkflowStart, new_node_run_id
from port_hook_cli.workflows.nodes import (
    NodeOutcome,
    NodeResult,
    entity_fault,
    failed,
    not_run,
    require_outlet,
    saved_entity,
)
from port_hook_cli.workflows.run import COMPLETED, NodeRun, WorkflowRun
from port_hook_cli.workflows.walk import Resolution, Step, response_of
from port_hook_cli.workflows.workflow import Node, NodeType

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.trigger.publishing import Topic

_PAUSE_S = 0.2
_SKIPPED = "port-hook does not run INTEGRATION_ACTION nodes. Pass an output with --output {}=JSON"
_NOT_PUBLISHED = "messages are not published without --to kafka://HOST:PORT. Pass an output with --output {}=JSON"
_NOT_SAVED = "no sandbox is used (PORT_API_URL), so the entity was not saved"


@frozen(kw_only=True)
class Outside:
    """The settings for the outside world of a workflow run on this machine.

    `recipient` receives the requests. `signer` is called for the first request. It returns a signer, or None for
    unsigned requests. `responses` are the outlets of INPUT nodes. For other INPUT nodes, `ask` asks the user. `brokers`
    (`HOST:PORT`) receive the messages that Port publishes. `wait_s` is how long to wait for each report, and
    `timeout_s` is how long a broker may take, both in seconds. With `asks_sandbox`, the sandbox in the settings learns
    about asynchronous nodes. It is also asked for reports that arrived before the response, even if `wait_s` is 0.
    """

    runtime: Runtime
    access: PortAccess
    recipient: Recipient
    signer: Callable[[], Signer | None]
    target: RunTarget = field(default_factory=RunTarget)
    responses: Mapping[str, str] = field(default_factory=dict)
    ask: Callable[[Node], Awaitable[str]] | None = None
    brokers: tuple[str, ...] = ()
    wait_s: float = 0.0
    timeout_s: float = 0.0
    asks_sandbox: bool = False

    @property
    def uses_reports(self) -> bool:
        """Whether the sandbox learns about asynchronous nodes and is asked for their reports."""
        return self.asks_sandbox or self.wait_s > 0


class HandlerEffects:
    """Connects a running workflow on this machine to the outside world.

    `api` is the API of the sandbox, if there is a sandbox. Entities are saved there, and asynchronous nodes are
    announced there.
    """

    def __init__(
        self,
        begin: WorkflowStart,
        outside: Outside,
        on_event: Callable[[Remark | Step], None],
        *,
        api: PortApi | None,
        topic: Topic | None,
    ) -> None:
        self.secrets = begin.data.secrets
        self.publishes = topic is not None
        self._outputs = begin.stand_ins
        self._masker = begin.masker
        self._outside = outside
        self._on_event = on_event
        self._api = api
        self._topic = topic
        self._early: NodeOutcome | None = None

    has_agent = False

    def now(self) -> str:
        """Return the current time in RFC 3339."""
        return format_time(self._outside.runtime.now())

    def new_node_run_id(self) -> str:
        """Return a new node run ID."""
        return new_node_run_id()

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        """Return a node's output from a file or --output, or None if there is no output for the node."""
        return self._outputs.get(node.identifier)

    async def observe(self, step: Step) -> None:
        """Pass a step on with the URL of its request.

        Before a request is sent, also pass on remarks about the request.
        """
        if (request := step.request) is not None:
            step = replace(step, url=self._url(step.node, request))
            if step.is_begun:
                for remark in request_remarks(request, self._masker, node=step.node.identifier):
                    self._on_event(remark)
        if self._outside.asks_sandbox and step.stays_in_progress:
            self._early = await self._reported_early(step.node_run)
            step = replace(step, is_reported=self._early is not None)
        self._on_event(step)

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        """Send a node's request to the handler, or publish the request for Port's agent if there is a topic."""
        if request.agent and self._topic is not None:
            await self._announce(run, node)
            message = agent_node_message(agent_config(request), node_run_id=request.run_id)
            await self._topic.publish(self._signed_message(message))
            return None
        if not request.synchronized:
            await self._announce(run, node)
        now, url = self._outside.runtime.now(), self._url(node, request)
        invocation = signed(request, self._outside.signer(), id=self._outside.runtime.new_id(), now=now)
        return await self._outside.recipient.send(invocation, sendable_url(url))

    def _signed_message(self, document: Any) -> bytes:
        return signed_content(document, self._outside.signer(), now=self._outside.runtime.now())

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        """Respond to an INPUT node, save an entity, or publish a message. Skip or fail a node that only Port runs."""
        if node.type == NodeType.KAFKA and self._topic is not None:
            return Resolution(outcome=await self._publish(run, node, config, self._topic))
        if node.type == NodeType.INPUT:
            return await self._respond(run, node, config)
        if node.type == NodeType.UPSERT_ENTITY:
            return await self._upsert(config)
        name = brief(node.identifier)
        skipped = {NodeType.KAFKA: _NOT_PUBLISHED, NodeType.INTEGRATION_ACTION: _SKIPPED}
        if node.type not in skipped:
            return Resolution(outcome=not_run(node, f"Pass its output with --output {name}=JSON."))
        remark = skipped[NodeType(node.type)].format(name)
        return Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS, remarks=(remark,)))

    async def _publish(self, run: WorkflowRun, node: Node, config: Mapping[str, Any], topic: Topic) -> NodeOutcome:
        assert run.current is not None
        await self._announce(run, node)
        message = node_message(config.get("payload"), node_run_id=run.current.id, workflow_run_id=run.id)
        place = await topic.publish(self._signed_message(message))
        return NodeOutcome(result=None, remarks=(f"published to {place}", WRAPPER_REMARK))

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:  # noqa: ARG002
        """Return the report on an asynchronous node in the sandbox. Wait for the report for up to `wait_s` seconds."""
        if self._early is not None:
            early, self._early = self._early, None
            return early
        if self._api is None or not self._outside.wait_s:
            return None
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._outside.wait_s
        while True:
            if (outcome := await _reported(self._api, node_run.id)) is not None:
                return outcome
            if clock() > deadline:
                return None
            await asyncio.sleep(_PAUSE_S)

    async def _reported_early(self, node_run: NodeRun) -> NodeOutcome | None:
        """Return the report on an asynchronous node that the sandbox already has, or None.

        Never raises.
        """
        with contextlib.suppress(PortHookError, TimeoutError):
            if self._outside.access.has_sandbox:
                async with asyncio.timeout(ASK_TIMEOUT_S), self._outside.access.client(retries=False) as api:
                    return await asked_for_a_moment(lambda: _reported(api, node_run.id))
        return None

    async def _announce(self, run: WorkflowRun, node: Node) -> None:
        """Add the node run to the sandbox, so that the handler can report it even with --strict."""
        assert run.current is not None
        if self._outside.uses_reports:
            name = f"{run.workflow.identifier}#{node.identifier}"
            await self._outside.access.announce([{"runId": run.current.id, "action": name, "properties": {}}])

    async def _respond(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        button = self._outside.responses.get(node.identifier)
        if button is None and isinstance(question := config.get("description"), str):
            self._on_event(note(f"{brief(node.name)} asks: {brief(self._masker.text(question))}"))
        if button is None and self._outside.ask is not None:
            button = await self._outside.ask(node)
        if not button:
            return None
        outlet = require_outlet(node, button, hint=f"Write it like --respond {node.identifier}=OUTLET.")
        return Resolution.chosen(outlet.identifier, config, [response_of(run.by, outlet.identifier)])

    async def _upsert(self, config: Mapping[str, Any]) -> Resolution:
        mapping = config.get("mapping")
        entity = dict(mapping) if isinstance(mapping, Mapping) else {}
        blueprint = str(config.get("blueprintIdentifier") or "")
        if fault := entity_fault(blueprint, entity):
            return Resolution(outcome=failed(fault))
        if self._api is None:
            entity.setdefault("identifier", secrets.token_hex(8))  # like Port (its page on this node)
            return Resolution(outcome=saved_entity(entity, remarks=(_NOT_SAVED,)))
        path = f"/v1/blueprints/{quote(blueprint, safe='')}/entities?upsert=true&merge=true"
        try:
            answer = await self._api.call("POST", path, entity)
        except PortApiError as problem:
            return Resolution(outcome=failed(problem.message))
        return Resolution(outcome=saved_entity(answer.get("entity") or entity))

    def _url(self, node: Node, request: RenderedRequest) -> str:
        if request.agent and self._topic is not None:
            return request.url
        return self._outside.target.url_for(node.identifier, request.url, owner=f"The node {node.identifier}")


async def _reported(api: PortApi, node_run_id: str) -> NodeOutcome | None:
    """Return the reported outcome of a node run, or None while the node run is in progress. Raises PortApiError."""
    shown = (await api.call("GET", run_path(node_run_id))).get("nodeRun")
    found = shown if isinstance(shown, Mapping) else {}
    if found.get("status") != COMPLETED:
        return None
    return NodeOutcome(result=NodeResult(str(found.get("result"))), output=found.get("output") or {})
