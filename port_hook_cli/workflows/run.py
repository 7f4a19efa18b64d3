"""A workflow run as a value: its node runs so far, and what comes next.

A run is a path of nodes. Each node ends before the next node begins. Every function returns a new run. Identifiers and
times come from the caller, so that a run can be saved in a file and continued later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.workflows.nodes import NodeOutcome, NodeResult
from port_hook_cli.workflows.workflow import Node, Workflow

IN_PROGRESS = "IN_PROGRESS"
COMPLETED = "COMPLETED"


class Progress(StrEnum):
    """The progress of a node run that has not ended.

    The progress is saved before the step, so that nothing is sent twice.
    """

    READY = "ready"
    SENDING = "sending"
    WAITING = "waiting"
    """The node's request was sent, or its question was asked.

    The node waits for the handler, a user or Port's agent.
    """


@frozen(kw_only=True)
class NodeRun:
    """One node's part in a run. Times are in RFC 3339. `result` is None while the node run is in progress."""

    id: str
    node: str
    created_at: str
    updated_at: str
    result: NodeResult | None = None
    output: Mapping[str, Any] = field(default_factory=dict, repr=False)
    outlet: str | None = None
    links: tuple[str, ...] = ()
    progress: Progress = Progress.READY

    @property
    def status(self) -> str:
        """IN_PROGRESS or COMPLETED."""
        return IN_PROGRESS if self.result is None else COMPLETED


@frozen(kw_only=True)
class WorkflowRun:
    """A workflow run. `by` is the user who started it (`email`, `firstName`, `lastName`)."""

    id: str
    workflow: Workflow
    created_at: str
    by: Mapping[str, Any] = field(default_factory=dict)
    node_runs: tuple[NodeRun, ...] = ()
    result: NodeResult | None = None

    @property
    def status(self) -> str:
        """IN_PROGRESS or COMPLETED."""
        return IN_PROGRESS if self.result is None else COMPLETED

    @property
    def current(self) -> NodeRun | None:
        """The node run that is in progress, or None."""
        last = self.node_runs[-1] if self.node_runs else None
        return last if last is not None and last.result is None and self.result is None else None

    def node_run(self, identifier: str) -> NodeRun | None:
        """Return the node run with this ID."""
        return next((each for each in self.node_runs if each.id == identifier), None)

    def node(self, node_run: NodeRun) -> Node:
        """Return the node of a node run."""
        return self.workflow.nodes[node_run.node]


def start(
    workflow: Workflow,
    trigger: Node,
    *,
    output: Mapping[str, Any],
    run_id: str,
    node_run_id: str,
    next_id: str,
    at: str,
    by: Mapping[str, Any],
) -> WorkflowRun:
    """Return a run that has passed its trigger. `output` is the output of the trigger: the inputs, or the event.

    `node_run_id` is the ID of the trigger's own node run. `next_id` is the ID for the first node after it.
    """
    first = NodeRun(id=node_run_id, node=trigger.identifier, created_at=at, updated_at=at)
    run = WorkflowRun(id=run_id, workflow=workflow, created_at=at, by=by, node_runs=(first,))
    return end_node(run, NodeOutcome(result=NodeResult.SUCCESS, output=output), at=at, next_id=next_id)


def end_node(
    run: WorkflowRun,
    outcome: NodeOutcome,
    *,
    at: str,
    next_id: str,
    outlet: str | None = None,
    links: tuple[str, ...] = (),
) -> WorkflowRun:
    """Return the run after `outcome` has ended its current node and the next node has begun.

    A run that has ended stays unchanged. `outlet` is the outlet that a CONDITION or INPUT node chose, or None for its
    fallback. An outcome without a result only sets the output, and the node stays in progress.
    """
    current = run.current
    if current is None:
        return run
    ended = replace(
        current,
        result=outcome.result,
        output=outcome.output,
        updated_at=at,
        outlet=outlet,
        links=links or current.links,
    )
    run = replace(run, node_runs=(*run.node_runs[:-1], ended))
    if outcome.result is None:
        return run
    node = run.node(ended)
    if outcome.result is not NodeResult.SUCCESS and not (
        outcome.result is NodeResult.FAILED and node.goes_on_after_failure
    ):
        return replace(run, result=outcome.result)
    following = run.workflow.next_node(node, outlet)
    if following is None:
        return replace(run, result=NodeResult.SUCCESS)
    begun = NodeRun(id=next_id, node=following.identifier, created_at=at, updated_at=at)
    return replace(run, node_runs=(*run.node_runs, begun))


def progressed(run: WorkflowRun, progress: Progress, *, at: str) -> WorkflowRun:
    """Return the run with this progress of its current node."""
    current = run.current
    if current is None:
        return run
    return replace(run, node_runs=(*run.node_runs[:-1], replace(current, progress=progress, updated_at=at)))


def cancel(run: WorkflowRun, *, at: str) -> WorkflowRun:
    """Return the cancelled run, in which the node in progress is also cancelled."""
    if run.result is not None:
        return run
    node_runs = tuple(
        each if each.result is not None else replace(each, result=NodeResult.CANCELLED, updated_at=at)
        for each in run.node_runs
    )
    return replace(run, node_runs=node_runs, result=NodeResult.CANCELLED)


def template_data(run: WorkflowRun, node_run: NodeRun, *, secrets: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data for the templates in a node's `config`.

    `.outputs.trigger` is the trigger that started the run, regardless of its identifier (Port's skill files). There is
    no `.inputs`, `.event`, `.entity`, `.run` or `.action`.
    """
    trigger = run.node_runs[0]
    outputs = {each.node: each.output for each in run.node_runs if each.result is not None}
    return {
        "outputs": {"trigger": trigger.output, **outputs},
        "secrets": secrets,
        "workflow": {"identifier": run.workflow.identifier, "versionIdentifier": f"{run.workflow.identifier}_1"},
        "workflowRun": {
            "identifier": run.id,
            "createdAt": run.created_at,
            "trigger": {"identifier": trigger.node, "by": run.by},
        },
        "workflowNodeRun": {"identifier": node_run.id, "createdAt": node_run.created_at},
    }


def saved(run: WorkflowRun) -> dict[str, Any]:
    """Return a run without its node runs as a JSON value. `restored` reads this value, together with the workflow."""
    return {"id": run.id, "createdAt": run.created_at, "by": run.by, "result": run.result}


def saved_node_run(node_run: NodeRun) -> dict[str, Any]:
    """Return a node run as a JSON value, which `restored_node_run` reads."""
    return {
        "id": node_run.id,
        "node": node_run.node,
        "createdAt": node_run.created_at,
        "updatedAt": node_run.updated_at,
        "result": node_run.result,
        "output": node_run.output,
        "outlet": node_run.outlet,
        "links": list(node_run.links),
        "progress": node_run.progress,
    }


def restored(document: Mapping[str, Any], workflow: Workflow, node_runs: Iterable[NodeRun] = ()) -> WorkflowRun:
    """Return the run in a document from `saved`. Raises KeyError, TypeError or ValueError for another document."""
    return WorkflowRun(
        id=str(document["id"]),
        workflow=workflow,
        created_at=str(document["createdAt"]),
        by=document["by"],
        result=_result(document["result"]),
        node_runs=tuple(node_runs),
    )


def restored_node_run(document: Mapping[str, Any]) -> NodeRun:
    """Return the node run in a document from `saved_node_run`.

    Raises KeyError, TypeError or ValueError for another document.
    """
    return NodeRun(
        id=str(document["id"]),
        node=str(document["node"]),
        created_at=str(document["createdAt"]),
        updated_at=str(document["updatedAt"]),
        result=_result(document["result"]),
        output=document["output"],
        outlet=document["outlet"],
        links=tuple(document["links"]),
        progress=Progress(document["progress"]),
    )


def _result(value: Any) -> NodeResult | None:
    return None if value is None else NodeResult(value)
