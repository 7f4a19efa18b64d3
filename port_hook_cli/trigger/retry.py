"""Plans a run of a workflow from a node, after a run that failed there: which nodes run again. This module is pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from port_hook_cli.errors import UsageError
from port_hook_cli.frozen import frozen
from port_hook_cli.workflows.nodes import used_outputs
from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
from port_hook_cli.workflows.workflow import TRIGGERS, NodeType, Workflow

_WITHOUT_EFFECT = TRIGGERS | {NodeType.CONDITION, NodeType.INPUT}


@frozen(kw_only=True)
class Retry:
    """The effect of a run from a node on the nodes of the last run.

    `kept` are earlier nodes that sent something to another system or saved something in Port, and that do not run
    again. `repeated` are such nodes that run again: the first node itself and the nodes after it.
    """

    workflow: str
    node: str
    last_run: ShownRun
    kept: tuple[ShownNodeRun, ...]
    repeated: tuple[ShownNodeRun, ...]


def plan_retry(workflow: Workflow, node: str, last_run: ShownRun) -> Retry:
    """Return which nodes of the last run run again, and which do not, if the workflow runs from `node`."""
    again = {node, *workflow.nodes_after(node)}
    acting = [
        replace(each, type=workflow.nodes[each.node].type)
        for each in last_run.node_runs
        if each.node in workflow.nodes and workflow.nodes[each.node].type not in _WITHOUT_EFFECT
    ]
    return Retry(
        workflow=workflow.identifier,
        node=node,
        last_run=last_run,
        kept=tuple(each for each in acting if each.node not in again),
        repeated=tuple(each for each in acting if each.node in again),
    )


def require_start(workflow: Workflow, node: str) -> None:
    """Raise UsageError for a node from which a workflow cannot run."""
    found = workflow.nodes.get(node)
    if found is None:
        raise UsageError(
            f"The workflow {workflow.identifier} has no node {node}.", hint=f"It has: {', '.join(workflow.nodes)}."
        )
    if found.is_trigger:
        raise UsageError(
            f"--from {node} is a trigger, and a run from a trigger does not use the outputs of another run.",
            hint=f"Leave out --from. WORKFLOW#{node} selects one of several triggers.",
        )


def earlier_outputs(
    workflow: Workflow, node: str, outputs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the outputs of the nodes that do not run again."""
    again = {node, *workflow.nodes_after(node)}
    return {name: output for name, output in outputs.items() if name not in again}


def reject_missing_outputs(
    workflow: Workflow, running: Iterable[str], outputs: Mapping[str, Any], *, origin: str
) -> None:
    """Raise UsageError if the templates of a running node use a missing output of a node that does not run.

    The output of the trigger may come from the inputs instead. `origin` is the start of the error's sentence: the run
    or file that the outputs come from.
    """
    for node, missing in missing_outputs(workflow, running, outputs):
        names = ", ".join(missing)
        raise UsageError(
            f"{origin} has no output of {names}, which the templates of {node} use.",
            hint=f"Pass it with --output {missing[0]}.PATH=JSON. For an empty output: --output {missing[0]}={{}}.",
        )


def missing_outputs(
    workflow: Workflow, running: Iterable[str], outputs: Mapping[str, Any]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each running node whose templates need missing outputs, and the nodes without an output."""
    running = [name for name in running if name in workflow.nodes]
    for node in running:
        missing = [
            name
            for name in used_outputs(workflow.nodes[node])
            if name in workflow.nodes and name not in {*outputs, *running} and not workflow.nodes[name].is_trigger
        ]
        if missing:
            yield node, missing
