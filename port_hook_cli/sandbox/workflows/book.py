"""The workflows and workflow runs of a sandbox, as values that can be kept in its state file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from port_hook_cli.invocations.records import format_time
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.workflows.outcome import NodeOutcome, NodeResult
from port_hook_cli.workflows.run import NodeRun, WorkflowRun, restored, saved
from port_hook_cli.workflows.workflow import Workflow, read_workflow

_KEPT = ("id", "version", "orgId", "createdBy", "createdAt", "updatedBy", "updatedAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """What was said about a node run besides its outcome.

    `outcome` is what a PATCH reported while the node was not yet ended here; `config` is the rendered config that
    Port's agent gets; it may hold the organization's secrets, so the state file does not keep it. Times are
    seconds since the epoch.
    """

    external_run_id: str | None = None
    links: tuple[str, ...] = ()
    output: Mapping[str, Any] | None = None
    outcome: NodeOutcome | None = None
    logs: tuple[Mapping[str, Any], ...] = ()
    responses: tuple[Mapping[str, Any], ...] = ()
    claimed_until: float | None = None
    installation_id: str | None = None
    is_acked: bool = False
    is_for_agent: bool = False
    config: Mapping[str, Any] | None = None


@dataclass(slots=True)
class WorkflowBook:
    """Workflows by identifier, as Port shows them, and runs by id. `keep` notes each change for the state file.

    `now` returns seconds since the epoch.
    """

    keep: Callable[[str, str, Any], None]
    now: Callable[[], float]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, WorkflowRun] = field(default_factory=dict)
    reports: dict[str, NodeReport] = field(default_factory=dict)
    _definitions: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def put(self, document: Mapping[str, Any], *, org: str, by: str) -> dict[str, Any]:
        """Add a workflow, or a new version of one; raises BadWorkflow for one that Port would refuse."""
        workflow = read_workflow(document)
        at = format_time(self.now())
        known = self.documents.get(workflow.identifier, {})
        shown = {
            **{name: value for name, value in document.items() if name not in _KEPT},
            "nodes": _in_order(document, workflow),
            "connections": document.get("connections") or [],
            "id": known.get("id", make_run_id(secrets.choice, "wf_")),
            "orgId": org,
            "version": known.get("version", 0) + 1,
            "createdBy": known.get("createdBy", by),
            "createdAt": known.get("createdAt", at),
            "updatedBy": by,
            "updatedAt": at,
        }
        self.documents[workflow.identifier] = shown
        self.keep("workflow", workflow.identifier, shown)
        return shown

    def remove(self, identifier: str) -> None:
        """Forget a workflow; its runs stay."""
        del self.documents[identifier]
        self.keep("workflow", identifier, None)

    def save(self, run: WorkflowRun, *, definition: Mapping[str, Any] | None = None) -> None:
        """Set a run as it is now. Its `definition` is kept with it, since the workflow may change while it runs."""
        known = self._definitions.get(run.id) if definition is None else definition
        self._definitions[run.id] = known or {}
        self.runs[run.id] = run
        self.keep("workflow_run", run.id, {"run": saved(run), "workflow": self._definitions[run.id]})

    def report(self, node_run_id: str, **fields: Any) -> NodeReport:
        """Set fields of what was said about a node run, and return it."""
        found = replace(self.reports.get(node_run_id, NodeReport()), **fields)
        self.reports[node_run_id] = found
        self.keep("node_report", node_run_id, _saved_report(found))
        return found

    def find_node_run(self, node_run_id: str) -> tuple[WorkflowRun, NodeRun] | None:
        """Return a node run and the run that it belongs to, None for an unknown id."""
        for run in self.runs.values():
            if (found := run.node_run(node_run_id)) is not None:
                return run, found
        return None

    def version_of(self, run: WorkflowRun) -> int:
        """Return the version of the workflow that a run began with."""
        version = self._definitions.get(run.id, {}).get("version", 1)
        return version if isinstance(version, int) else 1

    def title_of(self, run: WorkflowRun) -> str | None:
        """Return the title of the workflow that a run began with."""
        title = self._definitions.get(run.id, {}).get("title")
        return title if isinstance(title, str) else None

    def clear(self) -> None:
        """Forget everything."""
        for kind, names in (
            ("workflow", self.documents),
            ("workflow_run", self.runs),
            ("node_report", self.reports),
        ):
            for name in names:
                self.keep(kind, name, None)
        self.documents.clear()
        self.runs.clear()
        self.reports.clear()
        self._definitions.clear()

    def load(self, kind: str, key: str, value: Any) -> None:
        """Load a row of the state file; raises KeyError, TypeError or ValueError for a damaged one."""
        if kind == "workflow":
            read_workflow(value)
            self.documents[key] = value
        elif kind == "workflow_run":
            self._definitions[key] = value["workflow"]
            self.runs[key] = restored(value["run"], read_workflow(value["workflow"]))
        else:
            self.reports[key] = _restored_report(value)


def _in_order(document: Mapping[str, Any], workflow: Workflow) -> list[Any]:
    """Return the nodes in topological order, as Port does."""
    nodes = {node["identifier"]: node for node in document["nodes"]}
    return [nodes[identifier] for identifier in workflow.nodes]


def _saved_report(report: NodeReport) -> dict[str, Any]:
    outcome = report.outcome
    return {
        "external_run_id": report.external_run_id,
        "links": list(report.links),
        "output": report.output,
        "outcome": None if outcome is None else {"result": outcome.result, "output": outcome.output},
        "logs": list(report.logs),
        "responses": list(report.responses),
        "claimed_until": report.claimed_until,
        "installation_id": report.installation_id,
        "is_acked": report.is_acked,
        "is_for_agent": report.is_for_agent,
    }


def _restored_report(value: Mapping[str, Any]) -> NodeReport:
    outcome = value["outcome"]
    kept: dict[str, Any] = {
        **{name: tuple(value[name]) for name in ("links", "logs", "responses")},
        **{name: value[name] for name in ("external_run_id", "output", "claimed_until", "installation_id")},
        **{name: value[name] for name in ("is_acked", "is_for_agent")},
        "outcome": None
        if outcome is None
        else NodeOutcome(result=NodeResult(outcome["result"]), output=outcome["output"]),
    }
    return NodeReport(**kept)
