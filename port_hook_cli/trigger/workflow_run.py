"""`trigger WORKFLOW`: a workflow's whole graph, or one of its nodes, run against handlers on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from port_hook_cli.actions.action import ActionKind, PortAction
from port_hook_cli.actions.inputs import form_queries
from port_hook_cli.actions.jq_differences import jq_differences
from port_hook_cli.actions.request import RunContext, is_url
from port_hook_cli.errors import ExitCode, UsageError
from port_hook_cli.invocations.forwarding import is_on_this_machine
from port_hook_cli.invocations.records import format_time
from port_hook_cli.port_api.credentials import open_port_api
from port_hook_cli.port_api.settings import Settings
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import Output, emit, tell
from port_hook_cli.text.safe import brief, printable
from port_hook_cli.text.secret import Masker
from port_hook_cli.text.styled import Styled
from port_hook_cli.trigger.destination import destination
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.output import tell_differences, tell_of_placeholder, tell_of_request
from port_hook_cli.trigger.workflow_effects import HandlerEffects, WorkflowOptions
from port_hook_cli.trigger.workflow_records import node_record, workflow_run_record
from port_hook_cli.trigger.workflow_view import end_line, headline, request_line, step_lines
from port_hook_cli.workflows.expressions import node_expressions, reads_response
from port_hook_cli.workflows.outcome import NodeResult
from port_hook_cli.workflows.run import NodeRun, Progress, WorkflowRun, start
from port_hook_cli.workflows.walk import Step, walk
from port_hook_cli.workflows.workflow import BadWorkflow, Node, NodeType, Workflow

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi
    from port_hook_cli.trigger.plan import Documents, TriggerPlan

_NODE_TYPES = "A node can be triggered alone if it is a trigger, or of the type WEBHOOK or KAFKA."
_WAITING = "--wait needs the sandbox, which knows of this run's reports"


def run_workflow(
    workflow: Workflow,
    node: str | None,
    documents: Documents,
    plan: TriggerPlan,
    settings: Callable[[], Settings],
    runtime: Runtime,
    *,
    masker: Masker,
    new_id: Callable[[str], str],
) -> ExitCode:
    """Run a workflow from its trigger, or one node of it; `new_id` makes an id with a prefix.

    The code is 1 when the run fails, or has not ended within --wait. Raises UsageError, RenderError, SettingsError.
    """
    from port_hook_cli.trigger.open_invoker import invoking

    with invoking(lambda: settings().require_secret(), strict=plan.strict) as invoker:
        begin = _Beginning(workflow, documents, plan, invoker, runtime, new_id)
        return asyncio.run(_run(begin, node, masker, settings))


class _Beginning:
    """How a run begins: at its trigger, or in the middle with outputs that are given."""

    def __init__(
        self,
        workflow: Workflow,
        documents: Documents,
        plan: TriggerPlan,
        invoker: Invoker,
        runtime: Runtime,
        new_id: Callable[[str], str],
    ) -> None:
        self.workflow = workflow
        self.documents = documents
        self.plan = plan
        self.invoker = invoker
        self.runtime = runtime
        self.new_id = new_id
        self.at = format_time(runtime.now())

    async def run(self, node: str | None) -> WorkflowRun:
        """Return the run before its first step; raises UsageError for a node that cannot be triggered."""
        try:
            found = None if node is None else self.workflow.nodes.get(node)
            if node is not None and found is None:
                names = ", ".join(self.workflow.nodes)
                raise UsageError(
                    f"The workflow {self.workflow.identifier} has no node {node}.", hint=f"It has: {names}."
                )
            trigger = found if found is not None and found.is_trigger else self._trigger(found)
        except BadWorkflow as problem:
            raise UsageError(
                f"The workflow {self.workflow.identifier} {problem}.", hint="Name one: FILE#TRIGGER."
            ) from problem
        output = await self._output(trigger)
        begun = start(
            self.workflow,
            trigger,
            output=output,
            run_id=self.new_id("wfr_"),
            node_run_id=self.new_id("wfnr_"),
            next_id=self.new_id("wfnr_"),
            at=self.at,
            by=_person(self.documents.by),
        )
        return begun if found is None or found.is_trigger else self._only(begun, found)

    def _trigger(self, node: Node | None) -> Node:
        """Return the trigger. For a single node, it is a trigger with an output, or else the first one."""
        if node is None:
            return self.workflow.trigger()
        triggers = self.workflow.triggers
        return next((each for each in triggers if each.identifier in self.plan.outputs), triggers[0])

    def _only(self, run: WorkflowRun, node: Node) -> WorkflowRun:
        """Return a run of one node: what is given is the output of all others, and nothing follows."""
        if node.type not in {NodeType.WEBHOOK, NodeType.KAFKA}:
            raise UsageError(f"The node {node.identifier} is of the type {node.type}.", hint=_NODE_TYPES)
        trigger = run.node_runs[0]
        others = tuple(
            self._node_run(name, NodeResult.SUCCESS, output)
            for name, output in self.plan.outputs.items()
            if name not in {node.identifier, trigger.node}
        )
        alone = replace(run.workflow, connections=())
        own = self._node_run(node.identifier, None, {})
        return replace(run, workflow=alone, node_runs=(trigger, *others, own), result=None)

    def _node_run(self, node: str, result: NodeResult | None, output: Mapping[str, Any]) -> NodeRun:
        if node not in self.workflow.nodes:
            raise UsageError(f"--output names {node}, which is not a node of {self.workflow.identifier}.")
        selected = output.get("selectedOutlet")
        outlet = selected.get("identifier") if isinstance(selected, Mapping) else None
        return NodeRun(
            id=self.new_id("wfnr_"),
            node=node,
            created_at=self.at,
            updated_at=self.at,
            result=result,
            output=output,
            outlet=outlet if isinstance(outlet, str) else None,
        )

    async def _output(self, trigger: Node) -> Mapping[str, Any]:
        given = self.plan.outputs.get(trigger.identifier)
        if given is not None:
            return {**given, **await self._inputs_instead(trigger)}
        if trigger.type == NodeType.EVENT_TRIGGER:
            if self.documents.event is None:
                raise UsageError(
                    f"The trigger {trigger.identifier} runs for an event.", hint="Give one with --event FILE."
                )
            return self.documents.event
        if trigger.type != NodeType.SELF_SERVE_TRIGGER:
            return {}
        return await self.invoker.inputs(_form_of(self.workflow, trigger), self._form())

    async def _inputs_instead(self, trigger: Node) -> Mapping[str, Any]:
        """Return the inputs that were given besides the trigger's output. They are checked; no others are required."""
        if trigger.type != NodeType.SELF_SERVE_TRIGGER or not self.documents.properties:
            return {}
        form = _form_of(self.workflow, trigger)
        declared = {name: rules for name, rules in (form.inputs or {}).items() if name in self.documents.properties}
        return await self.invoker.inputs(replace(form, inputs=declared, required=()), self._form())

    def _form(self) -> RunContext:
        return RunContext(
            id="", by=self.documents.by, at=self.at, origin=self.plan.origin, properties=self.documents.properties
        )


def as_action(workflow: Workflow, node: str | None) -> PortAction:
    """Return the form that a run of the workflow asks for, as an action: its trigger's, or none."""
    triggers = [each for each in workflow.triggers if node in (None, each.identifier)] or list(workflow.triggers)
    return _form_of(workflow, triggers[0])


def _form_of(workflow: Workflow, trigger: Node) -> PortAction:
    """Return a self-service trigger as an action, which has the same form of inputs."""
    asked = trigger.config.get("userInputs")
    form = asked if isinstance(asked, Mapping) else {}
    declared = form.get("properties")
    return PortAction(
        identifier=workflow.identifier,
        kind=ActionKind.SELF_SERVICE,
        inputs=declared if isinstance(declared, Mapping) else {},
        required=form.get("required") or (),
        method={},
    )


def _person(by: Mapping[str, Any]) -> Mapping[str, Any]:
    user = by.get("user")
    return user if isinstance(user, Mapping) else {}


async def _run(begin: _Beginning, node: str | None, masker: Masker, settings: Callable[[], Settings]) -> ExitCode:
    from port_hook_cli.http.client import HttpClient

    plan, runtime = begin.plan, begin.runtime
    begin.workflow = _with_targets(begin.workflow, plan, masker, runtime)
    run = await begin.run(node)
    _print_notes(begin.workflow, node, runtime)
    show = _Shower(plan, masker, runtime, lambda: "" if plan.no_sign else settings().conflict)
    show.begin(run)
    async with AsyncExitStack() as stack:
        api = await _sandbox(stack, begin, settings)
        topic = None
        if plan.brokers:
            from port_hook_cli.trigger.publishing import opened_topic

            topic = await stack.enter_async_context(opened_topic(plan, settings, runtime))
        world = HandlerEffects(
            WorkflowOptions(
                to=plan.to,
                routes=plan.routes,
                to_its_url=plan.to_its_url,
                outputs={} if node is not None else plan.outputs,
                responses=plan.responses,
                unit=plan.unit,
                sign=not plan.no_sign,
                wait_s=plan.wait_s,
            ),
            secrets=begin.documents.secrets,
            secret=lambda: settings().require_secret(),
            client=await stack.enter_async_context(HttpClient(timeout_s=plan.timeout_s)),
            api=api,
            observe=show.step,
            new_node_run_id=lambda: begin.new_id("wfnr_"),
            runtime=runtime,
            topic=topic,
        )
        run = await walk(run, begin.invoker.renderer, world, strict=plan.strict)
    show.end(run)
    return _exit_code(run, plan, runtime)


async def _sandbox(stack: AsyncExitStack, begin: _Beginning, settings: Callable[[], Settings]) -> PortApi | None:
    """Return the API of the sandbox that the settings name; None without one. A real Port is never written to."""
    plan = begin.plan
    needs_it = any(node.type == NodeType.UPSERT_ENTITY for node in begin.workflow.nodes.values())
    if not plan.wait_s and not needs_it:
        return None
    found = settings()
    if not is_on_this_machine(found.api_url) or found.client_id is None or found.client_secret is None:
        if plan.wait_s:
            raise UsageError(f"{_WAITING}.", hint="Start `port-hook sandbox` and set PORT_API_URL as it says.")
        return None
    return await stack.enter_async_context(open_port_api(found, begin.runtime, timeout_s=plan.api_timeout_s))


def _with_targets(workflow: Workflow, plan: TriggerPlan, masker: Masker, runtime: Runtime) -> Workflow:
    """Return the workflow with the given target as the URL of each node that has a placeholder URL."""
    nodes = dict(workflow.nodes)
    for node in workflow.nodes.values():
        to, url = plan.routes.get(node.identifier, plan.to), node.config.get("url")
        is_placeholder = isinstance(url, str) and bool(url) and "{{" not in url and not is_url(url)
        if node.type == NodeType.WEBHOOK and to is not None and not plan.brokers and is_placeholder:
            tell_of_placeholder(masker.text(str(url)), f"the node {brief(node.identifier)}", runtime)
            nodes[node.identifier] = replace(node, config={**node.config, "url": destination("", to)})
    return replace(workflow, nodes=nodes)


def _print_notes(workflow: Workflow, node: str | None, runtime: Runtime) -> None:
    if any(each.config.get("permissions") for each in workflow.triggers):
        print("note: `permissions` are not checked here; Port checks them", file=runtime.stderr)
    form = as_action(workflow, node)
    alone = None if node is None or workflow.nodes[node].is_trigger else workflow.nodes[node]
    nodes = workflow.nodes.values() if alone is None else [alone]
    for each in filter(reads_response, nodes):
        tell(
            f"note: `variables` of the node {brief(each.identifier)} read `.response`. Port's closed beta "
            "documentation has it, and the later documentation has `.result.response`. Here, `.response` is null",
            runtime,
        )
    expressions = [expression for each in nodes for expression in node_expressions(each)]
    queries = form_queries(form.inputs or {}, form.required)
    tell_differences(jq_differences([*queries, *expressions]), runtime)


class _Shower:
    """Prints a run as it goes on, for people or as records."""

    def __init__(
        self, plan: TriggerPlan, masker: Masker, runtime: Runtime, conflict: Callable[[], str] = lambda: ""
    ) -> None:
        self._json = plan.json
        self._conflict = conflict
        self._masker = masker
        self._runtime = runtime
        self._screen = Output(runtime.stdout, runtime.environ)

    def begin(self, run: WorkflowRun) -> None:
        if not self._json:
            self._print([headline(run)])
            for node_run in run.node_runs:
                if node_run.result is not None:
                    self._print(step_lines(Step(run=run, node_run=node_run), self._masker))

    def step(self, step: Step, url: str | None) -> None:
        is_begun = step.node_run.progress is Progress.SENDING and step.delivery is None
        is_published = is_begun and step.request is None
        if is_begun and step.request is not None:
            tell_of_request(step.request, self._masker, self._runtime, node=step.node.identifier)
        if self._json:
            if not is_begun:
                emit(node_record(step, url, self._masker), self._runtime.stdout)
        elif is_published:
            return  # the next step says where
        elif is_begun and step.request is not None:
            self._print([request_line(step, step.request, self._masker.text(url or ""))])
        else:
            self._print(step_lines(step, self._masker, self._conflict() if step.delivery is not None else ""))

    def end(self, run: WorkflowRun) -> None:
        if self._json:
            emit(workflow_run_record(run), self._runtime.stdout)
        else:
            self._print([end_line(run)])

    def _print(self, lines: Iterable[Styled]) -> None:
        self._screen.print(*self._screen.fit(lines))


def _exit_code(run: WorkflowRun, plan: TriggerPlan, runtime: Runtime) -> ExitCode:
    if run.result is not None:
        return ExitCode.OK if run.result is NodeResult.SUCCESS else ExitCode.FAILED
    current = run.current
    if plan.wait_s and current is not None:
        tell(f"error: {printable(current.id)} was not reported within {plan.wait_s:g} s", runtime)
        return ExitCode.FAILED
    return ExitCode.OK
