"""Runs an action or a workflow in Port, through Port's API, and follows runs there until they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from port_hook_cli.actions.action import ActionKind, BadAction, PortAction
from port_hook_cli.actions.encryption import Scheme
from port_hook_cli.actions.inputs import as_sent, encryption_of, plaintext_of
from port_hook_cli.errors import PortApiError, SourceError, UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.runs.updates import ended_status
from port_hook_cli.text.remark import Remark, note
from port_hook_cli.text.safe import printable
from port_hook_cli.trigger.port_workflows import PortWorkflows
from port_hook_cli.trigger.run_data import RunData
from port_hook_cli.workflows.workflow import BadWorkflow, Node, NodeType, Workflow

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.trigger.action_files import FoundWorkflow
    from port_hook_cli.workflows.shown_run import ShownRun

MAX_PAUSE_S = 1.0
_FIRST_PAUSE_S = 0.1
"""The first pause between two requests for a run, in seconds. It is short, because many runs end quickly."""

_LOG_S = 5.0
"""The seconds after the deadline in which the log is still read. A log may grow as fast as port-hook reads it."""


@frozen
class RunChanged:
    """The status or label of a run has changed. `run` is a document of Port's API."""

    run: Mapping[str, Any]


@frozen
class LogLine:
    """The log of a run has a new entry, which is a document of Port's API."""

    entry: Mapping[str, Any]


@frozen
class WorkflowSeen:
    """The state of a workflow run. New entries of the run's log are reported before its state."""

    run: ShownRun


class Runs(Protocol):
    """The methods of Port's API for following a run. Both methods raise PortApiError."""

    async def get_run(self, run_id: str, /) -> dict[str, Any]:
        """Return the run with this ID."""
        ...

    async def run_logs(self, run_id: str, /, *, offset: int = 0) -> list[dict[str, Any]]:
        """Return a page of log entries that starts after the first `offset` entries.

        After the last entry, the page is empty.
        """
        ...


async def start_action_in_port(
    port: PortApi, action: PortAction, data: RunData, *, run_as: str | None = None
) -> Mapping[str, Any]:
    """Start a run of `action` in Port, and return the run. `require_startable` must accept the action.

    Port checks the inputs. `run_as` is the email of the user who runs the action. Raises UsageError, SettingsError and
    PortApiError.
    """
    entity = {} if data.entity is None else {"entity": data.entity["identifier"]}
    body = {"properties": _sent_properties(action, data.properties), **entity}
    return await port.start_run(action.identifier, body, run_as=run_as)


def require_startable(action: PortAction) -> None:
    """Raise UsageError for an automation, because Port's API cannot start automations."""
    if action.kind is ActionKind.AUTOMATION:
        raise UsageError(
            f"The automation {action.identifier} is started by its event, not through the API.",
            hint="Cause the event in Port, or run trigger without --via-port.",
        )


async def start_workflow_in_port(port: PortWorkflows, found: FoundWorkflow, data: RunData) -> ShownRun:
    """Start a run of a workflow in Port. Port checks the inputs. Raises UsageError and PortApiError."""
    from port_hook_cli.trigger.workflow_start import form_of_workflow

    trigger = startable_trigger(found)
    form = form_of_workflow(found.workflow, trigger.identifier)
    body: dict[str, Any] = {"inputs": _sent_properties(form, data.properties)}
    if found.node is not None or len(found.workflow.triggers) > 1:
        body["nodeIdentifier"] = trigger.identifier
    return await port.start(found.workflow.identifier, body)


def startable_trigger(found: FoundWorkflow) -> Node:
    """Return the trigger at which Port can start the workflow. Raises UsageError if there is no such trigger."""
    workflow = found.workflow
    if found.node is not None and found.node not in workflow.nodes:
        raise UsageError(
            f"The workflow {workflow.identifier} in Port has no node {found.node}.",
            hint=f"It has: {', '.join(workflow.nodes)}.",
        )
    node = None if found.node is None else workflow.nodes[found.node]
    if node is not None and not node.is_trigger:
        raise UsageError(
            f"Port cannot run the node {node.identifier} alone. It runs a workflow from its trigger.",
            hint=f"Leave out #{node.identifier} to run the workflow, or leave out --via-port to send the node's request"
            " from this machine.",
        )
    return _self_service(workflow, node)


def _self_service(workflow: Workflow, node: Node | None) -> Node:
    fitting = [each for each in workflow.triggers if each.type == NodeType.SELF_SERVE_TRIGGER]
    if node is None:
        try:
            node = fitting[0] if len(fitting) == 1 else workflow.trigger()
        except BadWorkflow as problem:
            raise UsageError(
                f"The workflow {workflow.identifier} {problem}.", hint=f"Pass one: {workflow.identifier}#TRIGGER."
            ) from problem
    if node.type != NodeType.SELF_SERVE_TRIGGER:
        raise UsageError(
            f"The trigger {node.identifier} has the type {node.type}. Port does not document that its API can start"
            " a run there.",
            hint="Cause its event in Port, or run trigger without --via-port.",
        )
    return node


def _sent_properties(action: PortAction, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a form in the format that Port's web page sends. Raises UsageError and SettingsError."""
    properties = {}
    for name, value in given.items():
        declared = (action.inputs or {}).get(name)
        rules = declared if isinstance(declared, Mapping) else {}
        properties[name] = as_sent(rules, value) if value is None else _encrypted(action, name, rules, value)
    return properties


def _encrypted(action: PortAction, name: str, rules: Mapping[str, Any], value: Any) -> Any:
    try:
        how = encryption_of(name, rules)
    except BadAction as error:
        raise SourceError(f"The action {action.identifier} {error}.", hint="Correct the action.") from error
    if how is None or how.scheme is not Scheme.CLIENT_SIDE:
        return as_sent(rules, value)
    from port_hook_cli.engines import encryption

    key = encryption.read_public_key(f"The `key` of the input {name}", how.key.encode())
    return encryption.encrypt_client_side(key, plaintext_of(value))


async def follow(
    runs: Runs,
    run: Mapping[str, Any],
    *,
    wait_s: float,
    on_event: Callable[[RunChanged | LogLine], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    log_s: float = _LOG_S,
    max_pause_s: float = MAX_PAUSE_S,
) -> Mapping[str, Any]:
    """Follow an action run or a node run until it ends or `wait_s` seconds have passed. Return its last state.

    `on_event` gets each new log entry, and then the run if its status or label has changed. The pauses between two
    requests grow up to `max_pause_s` seconds. Raises PortApiError.
    """
    pauses = _Pauses(wait_s, max_pause_s, sleep)
    seen, logged = _status_and_label(run), 0
    while True:
        run = await runs.get_run(str(run["id"]))
        # The log is read after the status, so that the log of an ended run is complete.
        while entries := await runs.run_logs(str(run["id"]), offset=logged):
            logged += len(entries)
            for entry in entries:
                on_event(LogLine(entry))
            if pauses.is_late(log_s):
                break
        if _status_and_label(run) != seen:
            seen = _status_and_label(run)
            on_event(RunChanged(run))
        if ended_status(run) is not None or await pauses.are_over():
            return run


async def follow_workflow(
    port: PortWorkflows, run: ShownRun, *, wait_s: float, on_event: Callable[[WorkflowSeen | LogLine | Remark], None]
) -> ShownRun:
    """Follow a workflow run until it ends or `wait_s` seconds have passed. Return its last state.

    `on_event` gets each state, after the new entries of the run's log. If the log cannot be read, this is reported once
    with a remark, and the log is not read again. Raises PortApiError.
    """
    pauses = _Pauses(wait_s, MAX_PAUSE_S, asyncio.sleep)
    log = _WorkflowLog(port, run.id)
    while True:
        run = await port.run(run.id)
        # The log is read after the state, so that the log of an ended run is complete.
        for event in await log.read():
            on_event(event)
        on_event(WorkflowSeen(run))
        if run.has_ended or await pauses.are_over():
            return run


class _Pauses:
    """The pauses between two requests for a run, which grow up to `max_s` seconds."""

    def __init__(self, wait_s: float, max_s: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock = asyncio.get_running_loop().time
        self.deadline = self._clock() + wait_s
        self._max_s, self._sleep = max_s, sleep
        self._pause_s = _FIRST_PAUSE_S

    def is_late(self, by_s: float) -> bool:
        """Return whether the deadline passed more than `by_s` seconds ago."""
        return self._clock() > self.deadline + by_s

    async def are_over(self) -> bool:
        """Pause, but not beyond the deadline. Return whether the deadline had already passed before the pause."""
        left_s = self.deadline - self._clock()
        if left_s <= 0:
            return True
        await self._sleep(min(self._pause_s, left_s))
        self._pause_s = min(2 * self._pause_s, self._max_s)
        return False


class _WorkflowLog:
    """The log of a workflow run. Each entry is read once. Entries of different nodes may come in any order."""

    def __init__(self, port: PortWorkflows, run_id: str) -> None:
        self._port = port
        self._run_id = run_id
        self._seen: dict[str, int] = {}
        self._is_readable = True

    async def read(self) -> list[LogLine | Remark]:
        """Return the new entries, or a note if the log cannot be read."""
        if not self._is_readable:
            return []
        try:
            entries = await self._port.logs(self._run_id)
        except PortApiError as problem:
            self._is_readable = False
            return [note(printable(f"the log of {self._run_id} is not shown: {problem.message}"))]
        new: list[LogLine | Remark] = []
        counts: dict[str, int] = {}
        for entry in entries:
            node_run = str(entry.get("nodeRunIdentifier", ""))
            counts[node_run] = counts.get(node_run, 0) + 1
            if counts[node_run] > self._seen.get(node_run, 0):
                new.append(LogLine(entry))
        self._seen = counts
        return new


def _status_and_label(run: Mapping[str, Any]) -> tuple[Any, Any]:
    return run.get("status"), run.get("statusLabel")
