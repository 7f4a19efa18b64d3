"""Triggers a workflow: starts a run and walks it against handlers on this machine, until the run ends or waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from port_hook_cli.actions.inputs import form_queries
from port_hook_cli.actions.jq_differences import jq_differences
from port_hook_cli.actions.request import is_url
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.view import format_time
from port_hook_cli.text.remark import Remark, note
from port_hook_cli.text.safe import brief
from port_hook_cli.text.secret import NO_SECRETS, Masker, masked_errors
from port_hook_cli.trigger.action import RunTarget
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.remarks import (
    condition_expressions,
    difference_remarks,
    placeholder_remark,
    unpublished_remark,
)
from port_hook_cli.trigger.retry import missing_outputs
from port_hook_cli.trigger.sandbox_run import require_sandbox
from port_hook_cli.trigger.workflow_effects import HandlerEffects, Outside
from port_hook_cli.trigger.workflow_start import WorkflowStart, begin_run
from port_hook_cli.workflows.nodes import node_expressions, reads_response
from port_hook_cli.workflows.run import WorkflowRun
from port_hook_cli.workflows.walk import Step, walk
from port_hook_cli.workflows.workflow import NodeType, Workflow

if TYPE_CHECKING:
    from port_hook_cli.port_api.client import PortApi


@frozen
class Begun:
    """A run has started. The nodes that will not run have their outputs from the beginning."""

    run: WorkflowRun


WorkflowEvent = Remark | Begun | Step
"""An event of a running workflow."""


async def walk_workflow(
    begin: WorkflowStart,
    outside: Outside,
    invoker: Invoker,
    on_event: Callable[[WorkflowEvent], None],
    *,
    strict: bool = False,
) -> WorkflowRun:
    """Run a workflow from its trigger, or run one of its nodes, until the run ends or waits. Return the run.

    With `strict`, an expression that fails also fails its node. Raises UsageError, RenderError, SettingsError,
    PortApiError and TargetError, with secrets masked.
    """
    masker = begin.masker
    with masked_errors(masker):
        if not outside.brokers:
            workflow, remarks = with_targets(begin.workflow, outside.target, masker)
            for remark in remarks:
                on_event(remark)
            begin = replace(begin, workflow=workflow)
        run = await begin_run(begin, invoker, at=format_time(outside.runtime.now()))
        for remark in _remarks(begin):
            on_event(remark)
        on_event(Begun(run))
        async with AsyncExitStack() as stack:
            effects = await _effects(stack, begin, outside, on_event)
            return await walk(run, invoker.renderer, effects, strict=strict)


async def _effects(
    stack: AsyncExitStack, begin: WorkflowStart, outside: Outside, on_event: Callable[[WorkflowEvent], None]
) -> HandlerEffects:
    api = await _sandbox(stack, begin.workflow, outside)
    topic = None
    if outside.brokers:
        from port_hook_cli.trigger.publishing import open_topic

        opening = open_topic(outside.brokers, outside.access, outside.runtime, timeout_s=outside.timeout_s)
        topic = await stack.enter_async_context(opening)
    return HandlerEffects(begin, outside, on_event, api=api, topic=topic)


async def _sandbox(stack: AsyncExitStack, workflow: Workflow, outside: Outside) -> PortApi | None:
    """Return the API of the sandbox in the settings, or None without a sandbox.

    A workflow run on this machine never writes to the real Port.
    """
    if outside.wait_s:
        await require_sandbox(outside.access)
    elif not any(node.type == NodeType.UPSERT_ENTITY for node in workflow.nodes.values()):
        return None
    return await stack.enter_async_context(outside.access.client()) if outside.access.has_sandbox else None


def with_targets(workflow: Workflow, target: RunTarget, masker: Masker = NO_SECRETS) -> tuple[Workflow, list[Remark]]:
    """Return the workflow with the URL of `target` for each node with a placeholder URL, and notes about them."""
    nodes, remarks = dict(workflow.nodes), []
    for node in workflow.nodes.values():
        url = node.config.get("url")
        is_placeholder = isinstance(url, str) and bool(url) and "{{" not in url and not is_url(url)
        if node.type == NodeType.WEBHOOK and is_placeholder and target.takes_any_url(node.identifier):
            remarks.append(placeholder_remark(masker.text(str(url)), f"the node {brief(node.identifier)}"))
            config = {**node.config, "url": target.url_for(node.identifier, "")}
            nodes[node.identifier] = replace(node, config=config)
    return replace(workflow, nodes=nodes), remarks


def _remarks(begin: WorkflowStart) -> Iterator[Remark]:
    """Yield remarks on what is not checked here, and on expressions that Port may evaluate differently."""
    workflow = begin.workflow
    started = [workflow.trigger(begin.node)] if begin.is_at_trigger else []
    for trigger in started:
        if not trigger.is_published:
            yield unpublished_remark(f"the trigger {brief(trigger.identifier)} has `published: false`")
    if any(each.config.get("permissions") for each in workflow.triggers):
        yield note("`permissions` are not checked here, but Port checks them")
    nodes = [workflow.nodes[name] for name in begin.running]
    for each in filter(reads_response, nodes):
        yield note(
            f"`variables` of the node {brief(each.identifier)} read `.response`. Port's closed beta "
            "documentation has it, and the later documentation has `.result.response`. Here, `.response` is null"
        )
    for name, missing in missing_outputs(workflow, begin.running, begin.outputs):
        yield note(
            f"the node {brief(name)} reads null instead of the missing output of {brief(', '.join(missing))}. "
            f"Pass it with --output {brief(missing[0])}.PATH=JSON"
        )
    form = begin.form
    expressions = [expression for each in nodes for expression in node_expressions(each)]
    for trigger in started:
        expressions += condition_expressions(trigger.config.get("condition"))
    yield from difference_remarks(jq_differences([*form_queries(form.inputs or {}, form.required), *expressions]))
