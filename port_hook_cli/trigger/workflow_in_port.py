"""`trigger WORKFLOW --via-port`: starts a run of the workflow in Port and follows it, node by node, until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from port_hook_cli.errors import ExitCode, PortApiError, UsageError
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.text.styled import Styled
from port_hook_cli.trigger.files import FoundWorkflow
from port_hook_cli.trigger.following import FIRST_PAUSE_S, MAX_PAUSE_S
from port_hook_cli.trigger.in_port import sent_properties
from port_hook_cli.trigger.port_workflows import PortWorkflows
from port_hook_cli.trigger.workflow_records import port_node_record, port_run_record
from port_hook_cli.trigger.workflow_run import as_action
from port_hook_cli.trigger.workflow_view import (
    port_end_line,
    port_headline,
    port_log_line,
    port_node_line,
    port_result_lines,
    port_waiting_lines,
)
from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
from port_hook_cli.workflows.workflow import BadWorkflow, Node, NodeType, Workflow

if TYPE_CHECKING:
    from port_hook_cli.trigger.plan import Documents, TriggerPlan

_SUCCESS = "SUCCESS"


def run_workflow_in_port(
    found: FoundWorkflow,
    documents: Documents,
    plan: TriggerPlan,
    settings: Settings,
    runtime: Runtime,
    *,
    masker: Masker,
) -> ExitCode:
    """Run a workflow that Port has through its API, which checks the inputs; raises UsageError and PortApiError.

    The exit code is 1 for a run that failed, was cancelled, or did not end within `plan.wait_s` seconds.
    """
    trigger = _trigger(found, plan)
    form = as_action(found.workflow, trigger.identifier)
    body: dict[str, Any] = {"inputs": sent_properties(form, documents.properties)}
    if found.node is not None or len(found.workflow.triggers) > 1:
        body["nodeIdentifier"] = trigger.identifier
    return asyncio.run(_run(found, body, plan, settings, runtime, masker))


def _trigger(found: FoundWorkflow, plan: TriggerPlan) -> Node:
    """Return the trigger at which Port can start the workflow; raises UsageError."""
    workflow = found.workflow
    for option, given in {"--entity": plan.entity_file, "--user": plan.user_file}.items():
        if given is not None:
            raise UsageError(
                f"{option} has no effect: Port's API takes only inputs for a run of a workflow.", hint="Leave it out."
            )
    if found.node is not None and found.node not in workflow.nodes:
        raise UsageError(
            f"The workflow {workflow.identifier} in Port has no node {found.node}.",
            hint=f"It has: {', '.join(workflow.nodes)}.",
        )
    node = None if found.node is None else workflow.nodes[found.node]
    if node is not None and not node.is_trigger:
        raise UsageError(
            f"Port cannot run the node {node.identifier} alone; it runs a workflow from its trigger.",
            hint=f"Leave out #{node.identifier} to run the workflow. Or leave out --via-port: then"
            f" {workflow.identifier}#{node.identifier} reads the node from Port, and its request is sent from this"
            " machine.",
        )
    return _self_service(workflow, node)


def _self_service(workflow: Workflow, node: Node | None) -> Node:
    fitting = [each for each in workflow.triggers if each.type == NodeType.SELF_SERVE_TRIGGER]
    if node is None:
        try:
            node = fitting[0] if len(fitting) == 1 else workflow.trigger()
        except BadWorkflow as problem:
            raise UsageError(
                f"The workflow {workflow.identifier} {problem}.", hint=f"Name one: {workflow.identifier}#TRIGGER."
            ) from problem
    if node.type != NodeType.SELF_SERVE_TRIGGER:
        raise UsageError(
            f"The trigger {node.identifier} is of the type {node.type}: Port does not document that its API can start"
            " a run there.",
            hint="Cause its event in Port, or run trigger without --via-port.",
        )
    return node


async def _run(
    found: FoundWorkflow,
    body: Mapping[str, Any],
    plan: TriggerPlan,
    settings: Settings,
    runtime: Runtime,
    masker: Masker,
) -> ExitCode:
    def notice(text: str) -> None:
        tell(f"note: {printable(text)}", runtime)

    async with open_port_api(settings, runtime, timeout_s=plan.api_timeout_s, on_retry=notice) as api:
        port = PortWorkflows(api)
        run = await port.start(found.workflow.identifier, body)
        screen = _Screen(found, plan, runtime, masker)
        screen.begin(run)
        if plan.wait_s:
            run = await follow_workflow(
                port, run, wait_s=plan.wait_s, on_state=screen.show, on_log=screen.log, on_problem=notice
            )
    screen.end(run)
    return _exit_code(run, plan, runtime)


async def follow_workflow(
    port: PortWorkflows,
    run: ShownRun,
    *,
    wait_s: float,
    on_state: Callable[[ShownRun], None],
    on_log: Callable[[Mapping[str, Any]], None],
    on_problem: Callable[[str], None],
) -> ShownRun:
    """Follow `run` until it ends or `wait_s` seconds have passed; return its last state. Raises PortApiError.

    `on_state` gets each state, after `on_log` has got the new entries of its log. A log that cannot be read is
    reported once with `on_problem` and not read again.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    log, pause_s = _Log(port, run.id, on_log, on_problem), FIRST_PAUSE_S
    while True:
        run = await port.run(run.id)
        await log.read()  # after the state, so that the log of an ended run is complete
        on_state(run)
        left_s = deadline - clock()
        if run.has_ended or left_s <= 0:
            return run
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, MAX_PAUSE_S)


class _Log:
    """The log of a run; each entry is passed on once. Entries of different nodes may come in any order."""

    def __init__(
        self,
        port: PortWorkflows,
        run_id: str,
        on_log: Callable[[Mapping[str, Any]], None],
        on_problem: Callable[[str], None],
    ) -> None:
        self._port = port
        self._run_id = run_id
        self._on_log = on_log
        self._on_problem = on_problem
        self._seen: dict[str, int] = {}
        self._is_readable = True

    async def read(self) -> None:
        if not self._is_readable:
            return
        try:
            entries = await self._port.logs(self._run_id)
        except PortApiError as problem:
            self._is_readable = False
            self._on_problem(f"the log of {self._run_id} is not shown: {problem.message}")
            return
        counts: dict[str, int] = {}
        for entry in entries:
            node_run = str(entry.get("nodeRunIdentifier", ""))
            counts[node_run] = counts.get(node_run, 0) + 1
            if counts[node_run] > self._seen.get(node_run, 0):
                self._on_log(entry)
        self._seen = counts


class _Screen:
    """Prints the progress of a run in Port, for people or as records."""

    def __init__(self, found: FoundWorkflow, plan: TriggerPlan, runtime: Runtime, masker: Masker) -> None:
        self._workflow = found.workflow
        self._version = found.version
        self._is_json = plan.json
        self._follows = bool(plan.wait_s)
        self._runtime = runtime
        self._masker = masker
        self._output = Output(runtime.stdout, runtime.environ)
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._logs: list[str] = []
        self._new_logs: list[Mapping[str, Any]] = []

    def begin(self, run: ShownRun) -> None:
        self._print([port_headline(self._workflow, run, self._version)])

    def log(self, entry: Mapping[str, Any]) -> None:
        self._logs.append(self._masker.text(str(entry.get("message") or entry.get("log") or "")))
        self._new_logs.append(entry)

    def show(self, run: ShownRun) -> None:
        for node_run in run.node_runs:
            if node_run.id not in self._begun:
                self._begun.add(node_run.id)
                self._begin(node_run)
            self._show_logs(node_run.id)
            if node_run.has_ended and node_run.id not in self._ended:
                self._ended.add(node_run.id)
                self._end(run, node_run)
        self._show_logs(None)

    def end(self, run: ShownRun) -> None:
        if self._is_json:
            emit(port_run_record(self._workflow, run, self._logs), self._runtime.stdout)
        elif self._follows:
            self._print([port_end_line(run)])

    def _begin(self, node_run: ShownNodeRun) -> None:
        node = self._workflow.nodes.get(node_run.node)
        self._print([port_node_line(node_run, node_run.type or ("" if node is None else node.type))])
        is_asynchronous = node is not None and node.type == NodeType.WEBHOOK and not node.is_synchronized
        if is_asynchronous and not node_run.has_ended:
            self._print(port_waiting_lines(node_run))

    def _end(self, run: ShownRun, node_run: ShownNodeRun) -> None:
        node = self._workflow.nodes.get(node_run.node)
        is_trigger = node is not None and node.is_trigger
        if not self._is_json:
            self._print(port_result_lines(node_run, self._masker, is_trigger=is_trigger))
        elif not is_trigger:
            emit(port_node_record(self._workflow, run, node_run, self._masker), self._runtime.stdout)

    def _show_logs(self, node_run_id: str | None) -> None:
        """Print the new entries of a node run, or all that are left."""
        new, self._new_logs = self._new_logs, []
        for entry in new:
            if node_run_id in {None, str(entry.get("nodeRunIdentifier"))}:
                self._print([port_log_line(entry, self._masker)])
            else:
                self._new_logs.append(entry)

    def _print(self, lines: Iterable[Styled]) -> None:
        if not self._is_json:
            self._output.print(*self._output.fit(lines))


def _exit_code(run: ShownRun, plan: TriggerPlan, runtime: Runtime) -> ExitCode:
    if not plan.wait_s:
        return ExitCode.OK
    if not run.has_ended:
        current = run.current
        where = "" if current is None else f"; {brief(current.node)} ({brief(current.id)}) is {brief(current.status)}"
        tell(f"error: {brief(run.id)} did not end within {plan.wait_s:g} s{where}", runtime)
    return ExitCode.OK if run.result == _SUCCESS and run.has_ended else ExitCode.FAILED
