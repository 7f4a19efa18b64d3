"""The actions and workflows in the user's files, with their forms and requests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from port_hook_cli.actions.action import ActionKind, PortAction, read_action
from port_hook_cli.errors import SettingsError, UsageError
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.replay.rewriting import SentReplay
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.text.secret import Secret
from port_hook_cli.workflows.workflow import Node, NodeType, Workflow, read_workflow

if TYPE_CHECKING:
    from port_hook_cli.trigger.action_files import FoundWorkflow
    from port_hook_cli.trigger.run_data import RunData
    from port_hook_cli.workflows.run import WorkflowRun

Send = Callable[[Invocation], Awaitable[SentReplay]]

_NO_ACTIONS = "The inspector has no actions or workflows. Start it with --actions PATH."
_MAX_INPUTS = 200


class Triggerable(NamedTuple):
    """The actions in the files, and the nodes where a workflow run can start, keyed by the page's identifiers."""

    actions: Mapping[str, Mapping[str, Any]]
    nodes: Mapping[str, tuple[Workflow, Node]]


class Actions:
    """Actions and workflows in files and directories.

    port-hook reads the files again for each request, so that edits take effect.
    """

    def __init__(self, paths: Sequence[Path], secret: Secret | None, runtime: Runtime) -> None:
        self._paths, self._secret, self._runtime = paths, secret, runtime

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and directories."""
        return tuple(self._paths)

    def why_not(self) -> str | None:
        """Return why nothing can be triggered, or None if something can be triggered."""
        if not self._paths:
            return _NO_ACTIONS
        return None if self._secret else "The inspector has no client secret to sign with."

    async def forms(self) -> list[dict[str, Any]]:
        """Return the self-service actions, the workflows, and the WEBHOOK nodes of workflows, each with its inputs.

        Raises UsageError for a faulty file.
        """
        found = await self.read()
        actions = [_action_form(each) for each in found.actions.values() if _is_self_service(each)]
        return [*actions, *(_node_form(name, *each) for name, each in found.nodes.items())]

    async def trigger(
        self, identifier: str, inputs: Mapping[str, Any], access: PortAccess, send: Send
    ) -> tuple[SentReplay, list[str]]:
        """Send the request of an action or of a workflow's node, or run a workflow from its trigger (`WORKFLOW#NODE`).

        Returns the last request with its response, and notes about the run. A sandbox learns about the run before the
        request is sent. Raises UsageError for invalid inputs, for an automation, which needs an event, and for a run
        that doesn't send a request.
        """
        if self._secret is None:
            raise SettingsError("The inspector has no client secret to sign with.", hint="Set PORT_CLIENT_SECRET.")
        found = await self.find(identifier)
        if isinstance(found, Mapping):
            return await self._trigger_action(read_action(found), inputs, self._secret, access, send), []
        return await _WorkflowTrigger(send).trigger(found, self.run_data(inputs), self._secret, access, self._runtime)

    async def _trigger_action(
        self, action: PortAction, inputs: Mapping[str, Any], secret: Secret, access: PortAccess, send: Send
    ) -> SentReplay:
        from port_hook_cli.trigger.action import Unmet, make, signed
        from port_hook_cli.trigger.open_invoker import invoking

        now = self._runtime.now()
        with invoking(lambda: secret) as invoker:
            made = await make(action, self.run_data(inputs), invoker, run_id=make_run_id(secrets.choice), now=now)
        assert not isinstance(made, Unmet)  # an automation without an event was rejected
        request = signed(made.request, Signer(secret), id=self._runtime.new_id(), now=now)
        await access.announce([made.announcement])
        return await send(request)

    async def find(self, identifier: str) -> Mapping[str, Any] | FoundWorkflow:
        """Return the definition of an action, or a workflow and its node.

        Raises UsageError if no file has the identifier.
        """
        from port_hook_cli.trigger.action_files import FoundWorkflow

        found = await self.read()
        if identifier in found.actions:
            return found.actions[identifier]
        if identifier in found.nodes:
            workflow, node = found.nodes[identifier]
            return FoundWorkflow(workflow, node.identifier)
        raise UsageError(f"The action {identifier[:80]} is not in the files.", hint="Reload the page.")

    def run_data(self, inputs: Mapping[str, Any]) -> RunData:
        """Return the run data for a run that the page starts."""
        from port_hook_cli.trigger.run_data import RunData

        return RunData(properties=inputs, by=_BY)

    async def read(self) -> Triggerable:
        """Return the current content of the files. Raises UsageError for a faulty file."""
        return await asyncio.to_thread(self._read_files)

    def _read_files(self) -> Triggerable:
        from port_hook_cli.sandbox.definition_files import read_definitions

        found = read_definitions(self._paths)
        return found_in(found.actions, found.workflows)


def found_in(actions: Iterable[Mapping[str, Any]], workflows: Iterable[Mapping[str, Any]]) -> Triggerable:
    """Return the actions and workflows, keyed by the page's identifiers."""
    return Triggerable({each["identifier"]: each for each in actions}, dict(_nodes(map(read_workflow, workflows))))


def _nodes(workflows: Iterator[Workflow]) -> Iterator[tuple[str, tuple[Workflow, Node]]]:
    for workflow in workflows:
        for node in workflow.nodes.values():
            if node.type in _STARTS:
                yield f"{workflow.identifier}#{node.identifier}", (workflow, node)


class _WorkflowTrigger:
    """Runs a workflow from its trigger, or runs a single node, and records the response to the last request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent: SentReplay | None = None
        self._problem = ""
        self._responses: list[str] = []

    async def trigger(
        self, found: FoundWorkflow, data: RunData, secret: Secret, access: PortAccess, runtime: Runtime
    ) -> tuple[SentReplay, list[str]]:
        """Return the last response. For a run that started at a trigger, also return the state of the run."""
        from port_hook_cli.trigger.action import RunTarget
        from port_hook_cli.trigger.open_invoker import invoking
        from port_hook_cli.trigger.workflow import walk_workflow
        from port_hook_cli.trigger.workflow_effects import Outside
        from port_hook_cli.trigger.workflow_start import WorkflowStart

        begin = WorkflowStart(workflow=found.workflow, node=found.node, data=data)
        outside = Outside(
            runtime=runtime,
            access=access,
            recipient=self,
            signer=lambda: Signer(secret),
            target=RunTarget(to=_ANY),
            asks_sandbox=True,
        )
        with invoking(lambda: secret) as invoker:
            run = await walk_workflow(begin, outside, invoker, self._keep)
        if self._sent is None:
            problem = (
                begin.masker.message(self._problem) or f"A run from the node {found.node} does not send a request."
            )
            raise UsageError(problem, hint="Correct the workflow in its file.")
        return self._sent, self._notes(run) if found.workflow.nodes[found.node or ""].is_trigger else []

    def _notes(self, run: WorkflowRun) -> list[str]:
        if (current := run.current) is not None:
            end = f"The run waits at {run.node(current).name}."
        else:
            end = f"The run ended with {run.result}."
        return [f"Responses: {', '.join(self._responses)}.", end]

    async def send(self, invocation: Invocation, url: str) -> Delivery:  # noqa: ARG002 - the page has one target
        """Send the node's request to the target set on the page."""
        self._sent = await self._send(invocation)
        return self._sent.delivery

    def _keep(self, event: object) -> None:
        from port_hook_cli.workflows.walk import Step

        if not isinstance(event, Step):
            return
        if (delivery := event.delivery) is not None:
            self._responses.append(f"{event.node.name} {delivery.status or delivery.fault}")
        if isinstance(error := event.node_run.output.get("error"), Mapping):
            self._problem = str(error.get("message", ""))


_STARTS = frozenset({NodeType.SELF_SERVE_TRIGGER, NodeType.WEBHOOK})
_RUNS_ALL = "Runs the workflow until it ends or waits, and sends the request of each node."
_RUNS_ONE = "Runs this node alone. Earlier nodes don't run, so their outputs are null."
_ANY = "http://127.0.0.1/"  # only so that a placeholder is accepted as the node's URL
_BY = {"userId": "inspector", "orgId": "org_inspector", "user": {"email": "you@inspector.local", "firstName": "You"}}


def _is_self_service(action: Mapping[str, Any]) -> bool:
    return _object(action.get("trigger")).get("type") == ActionKind.SELF_SERVICE


def _action_form(action: Mapping[str, Any]) -> dict[str, Any]:
    trigger = _object(action.get("trigger"))
    declared = _object(trigger.get("userInputs"))
    return {
        "identifier": action["identifier"],
        "kind": "action",
        "title": action.get("title"),
        "description": action.get("description"),
        "operation": trigger.get("operation"),
        "inputs": _inputs(_object(declared.get("properties")), declared.get("required")),
    }


def _node_form(identifier: str, workflow: Workflow, node: Node) -> dict[str, Any]:
    from port_hook_cli.trigger.workflow_start import form_of_workflow

    form = form_of_workflow(workflow, node.identifier)
    title = workflow.title or workflow.identifier
    is_only = node.is_trigger and len(workflow.triggers) == 1
    return {
        "identifier": identifier,
        "kind": "workflow" if node.is_trigger else "workflow-node",
        "title": title if is_only else f"{title}: {node.name}",
        "description": _RUNS_ALL if node.is_trigger else _RUNS_ONE,
        "operation": None,
        "inputs": _inputs(form.inputs or {}, form.required),
    }


def _inputs(declared: Mapping[str, Any], required: Any) -> list[dict[str, Any]]:
    names = required if isinstance(required, list) else []
    return [
        _input(name, rules, names) for name, rules in list(declared.items())[:_MAX_INPUTS] if isinstance(rules, dict)
    ]


def _input(name: str, rules: Mapping[str, Any], required: Sequence[Any]) -> dict[str, Any]:
    items = _object(rules.get("items"))
    return {
        "name": name,
        "title": rules.get("title"),
        "type": rules.get("type"),
        "format": rules.get("format"),
        "description": rules.get("description"),
        "required": name in required,
        "default": rules.get("default"),
        "enum": _list(rules.get("enum")),
        "items": _list(items.get("enum")),
        "minimum": _bound(rules.get("minimum")),
        "maximum": _bound(rules.get("maximum")),
        "blueprint": blueprint if isinstance(blueprint := rules.get("blueprint"), str) else None,
        "encrypted": rules.get("encryption") is not None,
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) else None


def _bound(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
