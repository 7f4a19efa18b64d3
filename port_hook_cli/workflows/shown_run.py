"""A workflow run to show, which either Port or `trigger` runs.

A run from Port's API is read with all the names that Port's documentation and its clients use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.workflows.run import COMPLETED, IN_PROGRESS, NodeRun, WorkflowRun

_MOST_OF_AN_ID = 200


@frozen(kw_only=True)
class ShownNodeRun:
    """One node's part in a run. `node` is the node's identifier, or its title if Port shows no identifier.

    `outlet` is the outlet that a CONDITION or INPUT node chose, or None if its output does not contain the outlet.
    """

    id: str
    node: str
    type: str = ""
    status: str = IN_PROGRESS
    result: str | None = None
    output: Mapping[str, Any] = field(default_factory=dict, repr=False)
    outlet: str | None = None
    links: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the node run has ended."""
        return self.status == COMPLETED


@frozen(kw_only=True)
class ShownRun:
    """A run that is IN_PROGRESS, CANCELLING or COMPLETED.

    `workflow` is the identifier of its workflow, or "" if unknown.
    """

    id: str
    workflow: str = ""
    status: str = IN_PROGRESS
    result: str | None = None
    created_at: str = ""
    node_runs: tuple[ShownNodeRun, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended.

        A run with a result has ended, because Port does not document every status.
        """
        return self.status == COMPLETED or self.result is not None

    @property
    def current(self) -> ShownNodeRun | None:
        """The last node run that is in progress, or None."""
        return next((each for each in reversed(self.node_runs) if not each.has_ended), None)

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """The outputs of the nodes that have ended, by node."""
        return {each.node: each.output for each in self.node_runs if each.has_ended and each.node}


def show_run(run: WorkflowRun) -> ShownRun:
    """Return the shown form of a run that `trigger` walks."""
    return ShownRun(
        id=run.id,
        workflow=run.workflow.identifier,
        status=run.status,
        result=None if run.result is None else str(run.result),
        created_at=run.created_at,
        node_runs=tuple(show_node_run(run, each) for each in run.node_runs),
    )


def show_node_run(run: WorkflowRun, node_run: NodeRun) -> ShownNodeRun:
    """Return the shown form of a node run that `trigger` walks."""
    return ShownNodeRun(
        id=node_run.id,
        node=node_run.node,
        type=run.node(node_run).type,
        status=node_run.status,
        result=None if node_run.result is None else str(node_run.result),
        output=node_run.output,
        outlet=node_run.outlet,
        links=node_run.links,
    )


def chosen_outlet(output: Mapping[str, Any]) -> str | None:
    """Return the chosen outlet in the output of a CONDITION or INPUT node, or None."""
    return _text(_object(output.get("selectedOutlet")).get("identifier")) or None


def read_shown_run(document: Any) -> ShownRun | None:
    """Return the run in a response of Port's API, or in a document that is a run. Return None for other documents."""
    found = _object(document)
    found = next((found[name] for name in ("workflowRun", "run") if isinstance(found.get(name), Mapping)), found)
    identifier = _text(found.get("identifier"))
    if not (0 < len(identifier) <= _MOST_OF_AN_ID and identifier.isascii() and identifier.isprintable()):
        return None
    listed = found.get("nodeRuns")
    return ShownRun(
        id=identifier,
        workflow=_workflow_of(found),
        status=_text(found.get("status")) or IN_PROGRESS,
        result=_text(found.get("result")) or None,
        created_at=_text(found.get("createdAt")),
        node_runs=tuple(_node_runs(listed)) if isinstance(listed, list) else (),
    )


def _workflow_of(run: Mapping[str, Any]) -> str:
    version = _object(run.get("workflowVersion"))
    return _text(_object(run.get("workflow", version.get("workflow"))).get("identifier"))


def _node_runs(listed: list[Any]) -> Iterator[ShownNodeRun]:
    for each in listed:
        shown = _object(each)
        node = _object(shown.get("node"))
        links = shown.get("links")
        if not shown:
            continue
        yield ShownNodeRun(
            id=_text(shown.get("identifier")),
            node=_text(node.get("identifier")) or _text(shown.get("nodeTitle")),
            type=_text(shown.get("nodeConfigType")) or _text(_object(node.get("config")).get("type")),
            status=_text(shown.get("status")) or IN_PROGRESS,
            result=_text(shown.get("result")) or None,
            output=(output := _object(shown.get("output"))),
            outlet=chosen_outlet(output),
            links=tuple(link for link in links if isinstance(link, str)) if isinstance(links, list) else (),
        )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
