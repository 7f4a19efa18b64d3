"""Walks workflow runs along their graphs, with one task for each run. Each step is saved before it is taken."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from port_hook_cli.actions.kafka_messages import WRAPPER_REMARK, agent_config, agent_node_message, node_message
from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.errors import PortHookError
from port_hook_cli.http.limits import format_size
from port_hook_cli.http.response_body import SHOWN_BYTES
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.view import format_time
from port_hook_cli.javascript.nesting import MOST_LEVELS, value_nests_too_deep
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox.entities import STRICT, check_entity
from port_hook_cli.sandbox.invocations import RunsTopic, message_and_hint
from port_hook_cli.sandbox.messages import Rejected, full
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief
from port_hook_cli.workflows.nodes import NodeOutcome, NodeResult, Renders, entity_fault, failed, not_run, saved_entity
from port_hook_cli.workflows.run import NodeRun, Progress, WorkflowRun, end_node, progressed
from port_hook_cli.workflows.walk import Resolution, Step, walk
from port_hook_cli.workflows.workflow import Node, NodeType

Deliver = Callable[[str, RenderedRequest], Awaitable[Delivery]]
"""Signs and sends the request of a node run. Raises PortHookError if the host is not allowed."""


class WorkflowWalker:
    """Walks the sandbox's workflow runs.

    `commit` saves and publishes changes, and raises PortHookError. After a delivery, `hint` returns a hint for the end
    of a note, or "".
    """

    def __init__(
        self,
        state: SandboxState,
        renders: Renders | None,
        deliver: Deliver,
        commit: Callable[[], None],
        hint: Callable[[Delivery], str],
        topic: RunsTopic | None,
    ) -> None:
        self._state = state
        self._renders = renders
        self._commit = commit
        self._effects = _SandboxEffects(state, deliver, commit, hint, topic)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._left: set[str] = set()

    def leave(self, run_id: str) -> None:
        """Leave a run to the caller, who walks it."""
        self._left.add(run_id)

    def go_on(self, run_id: str) -> None:
        """Continue a new run, or a run whose current node no longer has to wait."""
        if run_id in self._left:
            return
        if run_id in self._tasks:
            self._again.add(run_id)
            return
        task = asyncio.create_task(self._walk(run_id))
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._ended(run_id))

    def resume(self) -> None:
        """Continue the runs that were in progress when the sandbox ended."""
        for run in [run for run in self._state.workflows.runs.values() if run.result is None]:
            self.go_on(run.id)

    async def cancel(self) -> None:
        """Cancel the steps in progress without recording their outcomes."""
        self._left.clear()
        under_way = tuple(self._tasks.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _ended(self, run_id: str) -> None:
        self._tasks.pop(run_id, None)
        if run_id in self._again:
            self._again.discard(run_id)
            self.go_on(run_id)

    async def _walk(self, run_id: str) -> None:
        run = self._state.workflows.runs.get(run_id)
        if run is None:
            return
        if self._renders is None:
            self._fail(run_id, "The sandbox cannot render templates: jq is not installed.")
            return
        try:
            await walk(run, self._renders, self._effects)
        except _Overtaken:
            return
        except PortHookError as problem:
            self._fail(run_id, problem.message)
        except Exception as bug:  # noqa: BLE001 - nothing awaits the task, so the run shows the error
            self._fail(run_id, f"The sandbox has a bug: {type(bug).__name__}: {bug}")

    def _fail(self, run_id: str, reason: str) -> None:
        run = self._state.workflows.runs.get(run_id)
        if run is None:
            return
        now = format_time(self._state.now())
        ended = end_node(run, failed(reason), at=now, next_id=make_run_id(secrets.choice, "wfnr_"))
        self._state.workflows.save(ended)
        with contextlib.suppress(PortHookError):  # the next call tries again to save the change
            self._commit()


class _Overtaken(Exception):
    """Another caller changed the run while a step was in progress."""


class _SandboxEffects:
    def __init__(
        self,
        state: SandboxState,
        deliver: Deliver,
        commit: Callable[[], None],
        hint: Callable[[Delivery], str],
        topic: RunsTopic | None,
    ) -> None:
        self._topic = topic
        self.has_agent, self.publishes = topic is None, topic is not None
        self._state = state
        self._hint = hint
        self._deliver = deliver
        self._commit = commit

    @property
    def secrets(self) -> Mapping[str, Any]:
        return self._state.secrets

    def now(self) -> str:
        return format_time(self._state.now())

    def new_node_run_id(self) -> str:
        return make_run_id(secrets.choice, "wfnr_")

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        return self._state.outputs.get(node.identifier)

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        current = run.current
        assert current is not None
        if request.agent and self._topic is None:
            return None  # the agent claims the node run. `observe` has recorded this
        try:
            if request.agent and self._topic is not None:
                await self._topic.publish(agent_node_message(agent_config(request), node_run_id=current.id))
                return None
            if node.is_verbose:
                self._log(current.id, "INFO", f"Request body: {self._shown(request.content)}")
            delivery = await self._deliver(current.id, request)
        except PortHookError as problem:
            delivery = Delivery(url=request.url, fault="unreachable", error=message_and_hint(problem))
        if node.is_verbose and delivery.status is None:
            self._log(current.id, "ERROR", f"No response: {self._shown((delivery.error or '').encode())}")
        elif node.is_verbose:
            self._log(current.id, "INFO", f"Response body (status {delivery.status}): {self._shown(delivery.body)}")
        return delivery

    def _log(self, node_run_id: str, level: str, message: str) -> None:
        """Add an entry to the log of a node run. Port does not document the log entries of a verbose node."""
        known = self._state.workflows.report_on(node_run_id).logs
        entry = {"level": level, "message": message, "createdAt": self.now()}
        self._state.workflows.report(node_run_id, logs=(*known, entry))

    def _shown(self, body: bytes) -> str:
        """Return the beginning of a body with masked secrets, because the state file contains the log."""
        masked = self._state.masker().beginning(body, of_more=len(body) >= SHOWN_BYTES)
        text = masked[:SHOWN_BYTES].decode("utf-8", "replace" if len(masked) <= SHOWN_BYTES else "ignore")
        cut = f"\N{HORIZONTAL ELLIPSIS} ({format_size(SHOWN_BYTES)} of {len(masked)} bytes)"
        return f"{text}{cut}" if len(masked) > SHOWN_BYTES else text or "(empty)"

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        if node.type == NodeType.INPUT:
            return self._response(run, node, config)
        if node.type == NodeType.UPSERT_ENTITY:
            return Resolution(outcome=upsert_entity(self._state, config))
        if node.type == NodeType.KAFKA and self._topic is not None:
            return Resolution(outcome=await self._publish(run, config, self._topic))
        if node.type == NodeType.INTEGRATION_ACTION:
            return Resolution(outcome=self._offer(run, config))
        if node.type == NodeType.KAFKA:
            remark = "the sandbox publishes KAFKA nodes only with --kafka"
            return Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS, remarks=(remark,)))
        return Resolution(outcome=not_run(node, "Pass its output to the sandbox with --outputs FILE."))

    def _offer(self, run: WorkflowRun, config: Mapping[str, Any]) -> NodeOutcome:
        """Offer a node run to the integration in its config. The integration ends the node run with a report."""
        assert run.current is not None
        installation = config.get("installationId")
        if not isinstance(installation, str) or not installation:
            return failed("The node does not have an `installationId`, so no integration can claim it.")
        self._state.workflows.report(run.current.id, offered_to=installation, config=config)
        return NodeOutcome(result=None, remarks=(f"the integration {brief(installation)} can claim it",))

    async def _publish(self, run: WorkflowRun, config: Mapping[str, Any], topic: RunsTopic) -> NodeOutcome:
        assert run.current is not None
        message = node_message(config.get("payload"), node_run_id=run.current.id, workflow_run_id=run.id)
        try:
            place = await topic.publish(message)
        except PortHookError as problem:
            return failed(problem.message)
        return NodeOutcome(result=None, remarks=(f"published to {place}", WRAPPER_REMARK))

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:  # noqa: ARG002
        return self._state.workflows.report_on(node_run.id).outcome

    async def observe(self, step: Step) -> None:
        known = self._state.workflows.runs.get(step.run.id)
        if known is None or known.result is not None:
            raise _Overtaken  # cancelled, or the sandbox was reset, during the request
        self._state.workflows.save(step.run)
        if self.has_agent and _is_for_agent(step) and step.request is not None:
            self._state.workflows.report(step.node_run.id, is_for_agent=True, config=agent_config(step.request))
        if (reason := _failure_of(step)) is not None:
            self._log(step.node_run.id, "ERROR", reason)
        note = _told(step, self._state.masker().text)
        hint = "" if step.delivery is None else self._hint(step.delivery)
        self._state.add_workflow_event(step.run, f"{note}{hint}")
        self._commit()

    def _response(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        assert run.current is not None
        responses = self._state.workflows.report_on(run.current.id).responses
        for outlet in node.outlets:
            if sum(each["buttonIdentifier"] == outlet.identifier for each in responses) >= outlet.responders:
                return Resolution.chosen(outlet.identifier, config, responses)
        if run.current.progress is not Progress.WAITING:
            self._tell_waiting(run, run.current, node, config)
        return None

    def _tell_waiting(self, run: WorkflowRun, current: NodeRun, node: Node, config: Mapping[str, Any]) -> None:
        """Record that an INPUT node waits, and show a message about the wait once."""
        known = self._state.workflows.runs.get(run.id)
        if known is None or known.result is not None:
            raise _Overtaken
        self._state.workflows.save(progressed(run, Progress.WAITING, at=self.now()))
        name = f"{brief(node.identifier)} ({current.id})"
        path = f"POST /v1/workflows/nodes/runs/{current.id}/responses"
        question = config.get("description")
        asked = f"; {brief(self._state.masker().text(question))}" if isinstance(question, str) else ""
        self._state.add_workflow_event(run, f"{name} waits for a response: {path}{asked}")
        self._commit()


def upsert_entity(state: SandboxState, config: Mapping[str, Any]) -> NodeOutcome:
    """Save the entity of an UPSERT_ENTITY node with this rendered config, and return the node's outcome."""
    mapping = config.get("mapping")
    blueprint = str(config.get("blueprintIdentifier") or "")
    entity = dict(mapping) if isinstance(mapping, Mapping) else {}
    identifier = entity.setdefault("identifier", secrets.token_hex(8))  # like Port (its page on this node)
    if fault := entity_fault(blueprint, entity):
        return failed(fault)
    if value_nests_too_deep(entity):
        return failed(f"The node's `mapping` is nested too deeply: the sandbox accepts {MOST_LEVELS} levels.")
    if not state.size.has_room:
        return failed(str(full(state.size.limit)))
    try:
        check_entity(state, blueprint, entity)
    except Rejected as rejected:
        return failed(f"{rejected}; {STRICT}")
    known = state.entities.get((blueprint, identifier), {})
    merged = {**known, **entity, "blueprint": blueprint}
    for part in ("properties", "relations"):
        merged[part] = {**(known.get(part) or {}), **(entity.get(part) or {})}
    state.set_entity(blueprint, identifier, merged)
    return saved_entity(merged)


def _is_for_agent(step: Step) -> bool:
    """Return whether this step makes the node wait for Port's agent, which sends the node's request."""
    is_unsent = step.request is not None and step.delivery is None
    return is_unsent and step.node_run.progress is Progress.WAITING and step.node_run.result is None


def _failure_of(step: Step) -> str | None:
    """Return why a node failed without a request."""
    error = step.node_run.output.get("error") if step.node_run.result is NodeResult.FAILED else None
    return str(error["message"]) if step.request is None and isinstance(error, Mapping) and "message" in error else None


def _told(step: Step, masked: Callable[[str], str]) -> str:
    """Return a description of a step. `masked` masks secrets in a rendered URL."""
    node_run, name = step.node_run, brief(step.node.identifier)
    if step.delivery is None and step.request is not None and node_run.progress is Progress.SENDING:
        return f"{name} sends {brief(masked(f'{step.request.method} {step.request.url}'))}"
    if node_run.progress is Progress.SENDING and node_run.result is None and step.delivery is None:
        return f"{name} publishes its message to Kafka"
    if _is_for_agent(step):
        return f"{name} ({node_run.id}) waits for Port's agent"
    if node_run.result is None:
        return "; ".join((f"{name} ({node_run.id}) {RunFate.WAITS}", *step.remarks))
    ended = f"{name} ended with {node_run.result}"
    if step.request is not None:
        return ended
    reason = _failure_of(step)
    return "; ".join((ended, *(() if reason is None else (brief(reason),)), *step.remarks))
