"""Walks a run along its workflow, node by node, until it ends or waits for a handler, a user or Port's agent.

The caller's `RunEffects` decide what a node does to the outside world (a request, an entity, a question), so `trigger`,
the sandbox and the pytest plugin walk runs in the same way. The caller observes every step before the next step begins,
and can save it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from port_hook_cli.actions.inputs import plain_defaults
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.engines.outcomes import JqError
from port_hook_cli.errors import RenderError
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.text.secret import Masker
from port_hook_cli.workflows.nodes import (
    NodeOutcome,
    NodeResult,
    Renders,
    choose_outlet,
    failed,
    rendered_config,
    webhook_outcome,
    webhook_request,
    with_variables,
)
from port_hook_cli.workflows.run import NodeRun, Progress, WorkflowRun, end_node, progressed, template_data
from port_hook_cli.workflows.shown_run import chosen_outlet
from port_hook_cli.workflows.workflow import Node, NodeType

_LOST = "The process ended while it sent the request. The request may have arrived."
_PUBLISHED = frozenset({Progress.SENDING, Progress.WAITING})
_GIVEN = "its output was given, so it did not run"


@frozen(kw_only=True)
class Resolution:
    """The end of a node without a request: its outcome, and the outlet that the responders of an INPUT node chose."""

    outcome: NodeOutcome
    outlet: str | None = None

    @classmethod
    def chosen(cls, outlet: str, config: Mapping[str, Any], responses: Sequence[Mapping[str, Any]]) -> Resolution:
        """Return the resolution of an INPUT node with this rendered `config`, whose responders chose an outlet.

        Inputs without a value have the defaults of the node's form, as on Port's page on input nodes.
        """
        asked = config.get("userInputs")
        declared = asked.get("properties") if isinstance(asked, Mapping) else None
        defaults = plain_defaults(declared, {}) if isinstance(declared, Mapping) else {}
        filled = [{**each, "inputs": {**defaults, **each["inputs"]}} for each in responses]
        output = {"selectedOutlet": {"identifier": outlet}, "responses": filled}
        return cls(outcome=NodeOutcome(result=NodeResult.SUCCESS, output=output), outlet=outlet)


def response_of(user: Mapping[str, Any], outlet: str) -> dict[str, Any]:
    """Return the response of a user who clicked the button of an outlet of an INPUT node, without inputs.

    Port does not document the format of `submittedBy`. Here, it is the user's email.
    """
    submitter = {"submittedBy": str(user.get("email") or "")}
    return {"buttonIdentifier": outlet, "inputs": {}, "submitterInfo": submitter}


@frozen(kw_only=True)
class Step:
    """One step of a run: the run and the node run after the step, and what happened in the step.

    `request` and `delivery` belong to a WEBHOOK node. `url` is the URL that the request goes to, if the caller adds it.
    `errors` are the expressions that failed and became null. They are part of the last step of their node.
    `is_reported` means that the handler reported the node before its response, if the caller adds this. The next step
    then ends the node.
    """

    run: WorkflowRun
    node_run: NodeRun
    request: RenderedRequest | None = None
    delivery: Delivery | None = None
    remarks: tuple[str, ...] = ()
    errors: tuple[JqError, ...] = ()
    url: str | None = None
    is_reported: bool = False

    @property
    def stays_in_progress(self) -> bool:
        """Whether the node's request or message was sent and the node stays IN_PROGRESS until a report."""
        return self.node_run.progress is Progress.WAITING and self.node_run.result is None

    @property
    def node(self) -> Node:
        """The node that the step is about."""
        return self.run.node(self.node_run)

    @property
    def is_begun(self) -> bool:
        """Whether the node's request or message is about to be sent. The next step has the outcome."""
        return self.node_run.progress is Progress.SENDING and self.delivery is None


class RunEffects(Protocol):
    """The connection of a run to the outside world."""

    @property
    def secrets(self) -> Mapping[str, Any]:
        """The organization's secrets, which templates see as `.secrets`."""
        ...

    @property
    def has_agent(self) -> bool:
        """Whether Port's execution agent claims the request of a node that asks for the agent.

        If so, `send` returns None for the node.
        """
        ...

    @property
    def publishes(self) -> bool:
        """Whether `resolve` publishes the message of a KAFKA node. The node then waits for its report."""
        ...

    def now(self) -> str:
        """Return the current time in RFC 3339."""
        ...

    def new_node_run_id(self) -> str:
        """Return a new ID, which no other node run has."""
        ...

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        """Return the output that the user passed for a node, or None. A node with a given output does not run."""
        ...

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        """Send the request of a WEBHOOK node. Return None if Port's execution agent sends the request."""
        ...

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        """Run a node that is neither WEBHOOK nor CONDITION, with its rendered config. Return None while the node waits.

        An outcome without a result means that the node stays IN_PROGRESS until the handler reports its result.
        """
        ...

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:
        """Return the reported outcome of an asynchronous node, or None while the node waits."""
        ...

    async def observe(self, step: Step) -> None:
        """Record a step. The next step begins when this method returns."""
        ...


async def walk(run: WorkflowRun, renders: Renders, effects: RunEffects, *, strict: bool = False) -> WorkflowRun:
    """Return the run when it has ended, or when its current node waits for the outside world."""
    walker = _Walker(renders, effects, strict=strict)
    while (node_run := run.current) is not None:
        step = await walker.step(run, node_run)
        if step is None:
            return run
        run = step.run
    return run


class _Walker:
    def __init__(self, renders: Renders, effects: RunEffects, *, strict: bool) -> None:
        self._renders = renders
        self._effects = effects
        self._strict = strict

    async def step(self, run: WorkflowRun, node_run: NodeRun) -> Step | None:
        """Run the current node, or the next part of it. Return None when the node waits."""
        try:
            return await self._do(run, node_run, run.node(node_run))
        except RenderError as problem:
            return await self._end(run, failed(problem.message))

    async def _do(self, run: WorkflowRun, node_run: NodeRun, node: Node) -> Step | None:
        given = self._effects.given_output(node)
        if given is not None:
            skipped = NodeOutcome(result=NodeResult.SUCCESS, output=given, remarks=(_GIVEN,))
            return await self._end(run, skipped, outlet=chosen_outlet(given))
        if node.type == NodeType.WEBHOOK:
            return await self._webhook(run, node_run, node)
        if node.type == NodeType.KAFKA and (self._effects.publishes or node_run.progress in _PUBLISHED):
            return await self._message(run, node_run, node)
        if node.type == NodeType.INTEGRATION_ACTION and node_run.progress is Progress.WAITING:
            outcome = await self._effects.reported(run, node_run)
            return None if outcome is None else await self._end(run, outcome)
        data = self._data(run, node_run)
        if node.type == NodeType.CONDITION:
            chosen = await choose_outlet(node, data, self._renders)
            outlet = None if chosen is None else chosen.identifier
            output = {} if outlet is None else {"selectedOutlet": {"identifier": outlet}}
            return await self._end(run, NodeOutcome(result=NodeResult.SUCCESS, output=output), outlet=outlet)
        return await self._resolve(run, node, data)

    async def _resolve(self, run: WorkflowRun, node: Node, data: Mapping[str, Any]) -> Step | None:
        config, errors = await rendered_config(node, data, self._renders, strict=self._strict)
        resolution = await self._effects.resolve(run, node, config)
        if resolution is None:
            return None
        return await self._end(run, resolution.outcome, outlet=resolution.outlet, errors=errors)

    async def _message(self, run: WorkflowRun, node_run: NodeRun, node: Node) -> Step | None:
        """Publish the message of a KAFKA node. The node then waits until its consumer reports it."""
        if node_run.progress is Progress.WAITING:
            outcome = await self._effects.reported(run, node_run)
            return None if outcome is None else await self._end(run, outcome)
        if node_run.progress is Progress.SENDING:
            return await self._end(run, NodeOutcome(result=None, remarks=(_LOST,)))
        data = self._data(run, node_run)
        run = progressed(run, Progress.SENDING, at=self._effects.now())
        await self._observe(run)
        return await self._resolve(run, node, data)

    async def _webhook(self, run: WorkflowRun, node_run: NodeRun, node: Node) -> Step | None:
        if node_run.progress is Progress.WAITING:
            outcome = await self._effects.reported(run, node_run)
            return None if outcome is None else await self._end(run, outcome)
        if node_run.progress is Progress.SENDING:
            return await self._take_up(run, node)
        request = await webhook_request(
            node, self._data(run, node_run), self._renders, node_run_id=node_run.id, strict=self._strict
        )
        run = progressed(
            run,
            Progress.WAITING if request.agent and self._effects.has_agent else Progress.SENDING,
            at=self._effects.now(),
        )
        await self._observe(run, request=request)
        delivery = await self._effects.send(run, node, request)
        if delivery is None:
            return await self._wait_for_agent(run, node_run, request)
        outcome = webhook_outcome(node, delivery, synchronized=request.synchronized)
        return await self._end(run, outcome, request=request, delivery=delivery, errors=request.errors)

    async def _wait_for_agent(self, run: WorkflowRun, node_run: NodeRun, request: RenderedRequest) -> Step:
        waiting = progressed(run, Progress.WAITING, at=self._effects.now())
        if self._effects.has_agent:
            return Step(run=waiting, node_run=node_run)  # it was observed before
        return await self._observe(waiting, request=request)

    async def _take_up(self, run: WorkflowRun, node: Node) -> Step:
        """Continue with a node whose request was being sent when the process ended. The request is not sent twice."""
        outcome = failed(_LOST) if node.is_synchronized else NodeOutcome(result=None, remarks=(_LOST,))
        return await self._end(run, outcome)

    async def _end(
        self,
        run: WorkflowRun,
        outcome: NodeOutcome,
        *,
        outlet: str | None = None,
        request: RenderedRequest | None = None,
        delivery: Delivery | None = None,
        errors: tuple[JqError, ...] = (),
    ) -> Step:
        """End the current node with `outcome`. If the outcome has no result, the node waits from now on."""
        outcome = self._without_secrets(outcome)
        now, current = self._effects.now(), run.current
        assert current is not None
        if outcome.result is None:
            return await self._observe(
                progressed(run, Progress.WAITING, at=now),
                request=request,
                delivery=delivery,
                remarks=outcome.remarks,
                errors=errors,
            )
        outcome, links, failures = await with_variables(
            run.node(current), outcome, self._data(run, current), self._renders
        )
        index = len(run.node_runs) - 1
        run = end_node(run, outcome, at=now, next_id=self._effects.new_node_run_id(), outlet=outlet, links=links)
        return await self._observe(
            run,
            index=index,
            request=request,
            delivery=delivery,
            remarks=outcome.remarks,
            errors=(*errors, *failures),
        )

    def _without_secrets(self, outcome: NodeOutcome) -> NodeOutcome:
        """Return the outcome with the secrets in its error masked. The error quotes rendered URLs and values."""
        error = outcome.output.get("error") if outcome.result is NodeResult.FAILED else None
        if not isinstance(error, Mapping) or not isinstance(error.get("message"), str):
            return outcome
        masker = Masker(value for value in self._effects.secrets.values() if isinstance(value, str))
        return replace(
            outcome, output={**outcome.output, "error": {**error, "message": masker.message(error["message"])}}
        )

    async def _observe(self, run: WorkflowRun, *, index: int = -1, **fields: Any) -> Step:
        step = Step(run=run, node_run=run.node_runs[index], **fields)
        await self._effects.observe(step)
        return step

    def _data(self, run: WorkflowRun, node_run: NodeRun) -> dict[str, Any]:
        return template_data(run, node_run, secrets=self._effects.secrets)
