"""`trigger` of a workflow: runs the workflow or one of its nodes on this machine, or lets Port run the workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.trigger_options import TriggerCommand, refuse_given
from port_hook_cli.cli.trigger_view import (
    end_line,
    headline,
    node_line,
    question_lines,
    retry_lines,
    sending_line,
    step_lines,
)
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import emit, tell
from port_hook_cli.terminal.prompts import ask_in_loop, can_ask
from port_hook_cli.text.remark import Remark
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker, masked_errors
from port_hook_cli.trigger.action_files import FoundWorkflow, find_in_port
from port_hook_cli.trigger.open_invoker import invoking
from port_hook_cli.trigger.records import retry_record, step_record, workflow_run_record
from port_hook_cli.trigger.retry import Retry, earlier_outputs, plan_retry, reject_missing_outputs, require_start
from port_hook_cli.trigger.workflow import Begun, WorkflowEvent, walk_workflow
from port_hook_cli.trigger.workflow_effects import Outside
from port_hook_cli.trigger.workflow_start import NotTriggered, WorkflowStart, form_of_workflow
from port_hook_cli.workflows.nodes import NodeResult
from port_hook_cli.workflows.run import WorkflowRun
from port_hook_cli.workflows.shown_run import show_node_run, show_run
from port_hook_cli.workflows.walk import Step
from port_hook_cli.workflows.workflow import Node, NodeType


async def trigger_workflow(found: FoundWorkflow, asked: TriggerCommand) -> ExitCode:
    """Run `trigger` for a workflow.

    The exit code is 1 if the run fails, or has not ended within --wait. Raises UsageError, RenderError and
    SettingsError.
    """
    node = found.workflow.nodes.get(found.node or "")
    is_one = node is not None and node.type == NodeType.WEBHOOK
    is_unknown = node is None and found.node is not None  # another error says so
    if asked.port.via_port or asked.target.brokers or not (is_one or is_unknown):
        for_one = {"--dry-run": asked.output.dry_run, "--format": asked.output.output}
        refuse_given(for_one, "prints the request of an action or of one WEBHOOK node.", "Choose WORKFLOW#NODE.")
    if asked.port.via_port:
        found = await find_in_port(found, asked.access)
    elif found.is_in_port:
        asked.say(found.remark)
    if (first := asked.run.from_) is not None:
        return await _retry(found, first, asked)
    given = await asked.run.find_outputs(found.workflow, found.node, asked.access, asked.runtime, asked.say)
    if asked.run.wants_last and found.node is not None and given.run is not None:
        reject_missing_outputs(found.workflow, [found.node], given.outputs, origin=f"The run {given.run.id}")
    form = form_of_workflow(found.workflow, found.node)
    data = asked.run.read(form, asked.runtime)
    if asked.port.via_port:
        from port_hook_cli.cli.trigger_in_port import run_workflow_in_port

        with masked_errors(Masker(data.secret_values(form))):
            return await run_workflow_in_port(found, data, asked)
    start = WorkflowStart(workflow=found.workflow, node=found.node, data=data, outputs=given.outputs)
    return await _walk(start, asked)


async def _retry(found: FoundWorkflow, node: str, asked: TriggerCommand) -> ExitCode:
    """Print which nodes have already acted, then run the workflow from a node."""
    workflow = found.workflow
    if found.node is not None:
        raise UsageError(
            f"{asked.action} runs only the node {found.node}, but --from runs the workflow from a node to its end.",
            hint=f"Leave out #{found.node}, or leave out --from.",
        )
    require_start(workflow, node)
    given = await asked.run.find_outputs(workflow, node, asked.access, asked.runtime, asked.say)
    data = asked.run.read(form_of_workflow(workflow, node), asked.runtime)
    start = WorkflowStart(workflow=workflow, node=node, data=data, outputs=given.outputs, continues=True)
    origin = f"--with outputs={asked.run.files['outputs']}" if given.run is None else f"The run {given.run.id}"
    outputs = {**start.stand_ins, **earlier_outputs(workflow, node, given.outputs)}
    reject_missing_outputs(workflow, start.running, outputs, origin=origin)
    if given.run is not None:
        _show_retry(plan_retry(workflow, node, given.run), asked)
    return await _walk(start, asked)


def _show_retry(retry: Retry, asked: TriggerCommand) -> None:
    """Print which nodes have acted in the last run, before anything is sent."""
    if asked.output.json:
        emit(retry_record(retry), asked.runtime.stdout)
    for line in retry_lines(retry):
        tell(line.plain, asked.runtime)


async def _walk(start: WorkflowStart, asked: TriggerCommand) -> ExitCode:
    from port_hook_cli.http.client import HttpClient

    show = _Shower(start.masker, asked)
    printing = None if asked.output.sends else _Printing(start.masker, asked)
    with invoking(lambda: asked.access.secret, strict=asked.run.strict) as invoker:
        async with HttpClient(timeout_s=asked.target.timeout_s) as client:
            outside = Outside(
                runtime=asked.runtime,
                access=asked.access,
                recipient=printing or client,
                signer=asked.signature.signer(asked.access),
                target=replace(asked.targets(), is_lenient=printing is not None),
                responses=asked.run.responses,
                ask=_asker(asked.runtime) if can_ask(asked.runtime) else None,
                brokers=asked.target.brokers,
                wait_s=asked.port.wait_s,
                timeout_s=asked.target.timeout_s,
                asks_sandbox=printing is None,
            )
            try:
                event = printing.event if printing else show.event
                run = await walk_workflow(start, outside, invoker, event, strict=asked.run.strict)
            except NotTriggered as problem:
                from port_hook_cli.cli.trigger_action import tell_unmet

                return tell_unmet(problem.unmet, asked.runtime, as_json=asked.output.json)
    if printing is not None:
        return ExitCode.OK
    show.end(run)
    return _exit_code(run, asked.port.wait_s, asked.runtime)


def _asker(runtime: Runtime) -> Callable[[Node], Awaitable[str]]:
    """Return the function that asks the user for the outlet of an INPUT node."""

    async def ask(node: Node) -> str:
        names = ", ".join(outlet.identifier for outlet in node.outlets)
        return await ask_in_loop(f"{brief(node.name)}: which outlet ({brief(names)})?", runtime)

    return ask


class _Printing:
    """Prints the request of a node instead of sending it."""

    _record: Mapping[str, Any] | None = None

    def __init__(self, masker: Masker, asked: TriggerCommand) -> None:
        self._masker, self._asked = masker, asked

    def event(self, event: WorkflowEvent) -> None:
        """Print a remark, and keep the record of the node."""
        if isinstance(event, Remark):
            self._asked.say(event)
        elif isinstance(event, Step) and event.is_begun and self._asked.output.json:
            self._record = step_record(event, self._masker)

    async def send(self, request: Invocation, url: str) -> Delivery:
        """Print `request`. The walk goes on as if the handler had accepted it."""
        from port_hook_cli.cli.trigger_action import print_request

        print_request(request, url, self._masker, self._asked, self._record)
        return Delivery(url=url, status=HTTPStatus.OK)


class _Shower:
    """Prints the progress of a run, for people or as records."""

    def __init__(self, masker: Masker, asked: TriggerCommand) -> None:
        self._masker = masker
        self._asked = asked
        self._source = asked.action.partition("#")[0]
        self._is_json = asked.output.json
        self._stdout = asked.runtime.stdout

    def event(self, event: WorkflowEvent) -> None:
        """Print what has happened in the run."""
        if isinstance(event, Remark):
            self._asked.say(event)
        elif isinstance(event, Begun):
            self._begin(event.run)
        elif event.is_begun:
            self._send(event)
        elif self._is_json:
            emit(step_record(event, self._masker), self._stdout)
        else:
            has_response = event.delivery is not None
            conflict = self._asked.signature.conflict(self._asked.access) if has_response else ""
            self._asked.show(step_lines(event, self._masker, conflict, source=self._source))

    def end(self, run: WorkflowRun) -> None:
        """Print how the run has ended, or where it waits."""
        if self._is_json:
            emit(workflow_run_record(run.workflow, show_run(run)), self._stdout)
            return
        if run.current is not None and (node := run.node(run.current)).type == NodeType.INPUT:
            self._asked.show([node_line(show_node_run(run, run.current), node.type)])
            advice = f"Pass --respond {brief(node.identifier)}=OUTLET."
            self._asked.show(question_lines(run.current.id, node, advice=advice))
        self._asked.show([end_line(show_run(run))])

    def _begin(self, run: WorkflowRun) -> None:
        self._asked.show([headline(run)])
        for node_run in run.node_runs:
            if node_run.result is not None:
                self._asked.show(step_lines(Step(run=run, node_run=node_run), self._masker, source=self._source))

    def _send(self, step: Step) -> None:
        if step.request is not None:  # for a message, the next step shows the topic
            self._asked.show([sending_line(step, step.request, self._masker)])


def _exit_code(run: WorkflowRun, wait_s: float, runtime: Runtime) -> ExitCode:
    if run.result is not None:
        return ExitCode.OK if run.result is NodeResult.SUCCESS else ExitCode.FAILED
    if wait_s and run.current is not None:
        tell(f"error: {printable(run.current.id)} was not reported within {wait_s:g} s", runtime)
        return ExitCode.FAILED
    return ExitCode.OK
