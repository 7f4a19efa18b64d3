"""The workflows and workflow runs of a sandbox, in the formats of its state file and of Port's API.

The fields follow Port's draft of the OpenAPI paths for workflows, its page on runs, and the clients that read the
fields.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox.run import MAX_RUNS
from port_hook_cli.workflows.nodes import NodeOutcome, NodeResult
from port_hook_cli.workflows.port_rules import read_new_workflow
from port_hook_cli.workflows.run import (
    NodeRun,
    WorkflowRun,
    restored,
    restored_node_run,
    saved,
    saved_node_run,
)
from port_hook_cli.workflows.workflow import Workflow, read_workflow

MAX_LOGS = 1000
"""The number of entries that the log of a node run retains. These are the latest entries."""
MAX_LOG_CHARACTERS = 4 * 1024 * 1024
"""The number of characters that the messages of these entries may have in total.

The latest entry is always retained.
"""

_KEPT = ("id", "version", "orgId", "createdBy", "createdAt", "updatedBy", "updatedAt")


@frozen(kw_only=True)
class NodeReport:
    """The data that the sandbox has about a node run besides its outcome.

    `offered_to` is the only integration that may claim the node run. `installation_id` is the integration that claimed
    it. `outcome` is the outcome that a PATCH reported before the node ended here. `config` is the rendered config for
    Port's agent or the integration. The config may contain the organization's secrets, so it is not in the state file.
    Times are in seconds since the epoch.
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
    offered_to: str | None = None
    status_label: str | None = None
    config: Mapping[str, Any] | None = None


@dataclass(slots=True)
class WorkflowBook:
    """Workflows by identifier, in Port's format, and workflow runs by ID.

    `record` notes each change for the state file. `now` returns seconds since the epoch. A run and each of its node
    runs are separate rows of the state file, so that a step of a long run writes only the rows that it changed.
    """

    record: Callable[[str, str, Any], None]
    now: Callable[[], float]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, WorkflowRun] = field(default_factory=dict)
    reports: dict[str, NodeReport] = field(default_factory=dict)
    _definitions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _run_of: dict[str, str] = field(default_factory=dict)

    def put(self, document: Mapping[str, Any], *, org: str, by: str) -> dict[str, Any]:
        """Add a workflow or a new version of a workflow. Raises BadWorkflow if Port would reject the workflow."""
        workflow = read_new_workflow(document)
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
        self.record("workflow", workflow.identifier, shown)
        return shown

    def remove(self, identifier: str) -> None:
        """Remove a workflow. The runs of the workflow stay."""
        del self.documents[identifier]
        self.record("workflow", identifier, None)

    def save(self, run: WorkflowRun, *, definition: Mapping[str, Any] | None = None) -> None:
        """Set the current state of a run.

        Save its `definition` with it, because the workflow may change during the run. If the sandbox then has more than
        `MAX_RUNS` runs, this method deletes another run with its node runs and their logs.
        """
        known = self.runs.get(run.id)
        if definition is not None:
            self._definitions[run.id] = definition
        kept = self._definitions.setdefault(run.id, {})
        self.runs[run.id] = run
        if known is None or known.result is not run.result:
            self.record("workflow_run", run.id, {"run": saved(run), "workflow": kept})
        written = known.node_runs if known is not None else ()
        for index, each in enumerate(run.node_runs):
            if index >= len(written) or written[index] is not each:
                self._run_of[each.id] = run.id
                self.record("node_run", each.id, {"run": run.id, "number": index, "nodeRun": saved_node_run(each)})
        if len(self.runs) > MAX_RUNS:
            self.drop_ended(run)

    def report(self, node_run_id: str, **fields: Any) -> NodeReport:
        """Set fields of the report on a node run, and return the report.

        Only the latest logs (`MAX_LOGS`) are retained.
        """
        if "logs" in fields:
            fields["logs"] = _latest(fields["logs"])
        found = replace(self.report_on(node_run_id), **fields)
        self.reports[node_run_id] = found
        self.record("node_report", node_run_id, _saved_report(found))
        return found

    def report_on(self, node_run_id: str) -> NodeReport:
        """Return what clients have reported about a node run so far."""
        return self.reports.get(node_run_id, NodeReport())

    def find_node_run(self, node_run_id: str) -> tuple[WorkflowRun, NodeRun] | None:
        """Return a node run and its workflow run, or None for an unknown ID."""
        run = self.runs.get(self._run_of.get(node_run_id, ""))
        found = None if run is None else run.node_run(node_run_id)
        return None if run is None or found is None else (run, found)

    def version_of(self, run: WorkflowRun) -> int:
        """Return the version of the workflow that a run started with."""
        version = self._definitions.get(run.id, {}).get("version", 1)
        return version if isinstance(version, int) else 1

    def title_of(self, run: WorkflowRun) -> str | None:
        """Return the title of the workflow that a run started with."""
        title = self._definitions.get(run.id, {}).get("title")
        return title if isinstance(title, str) else None

    def clear(self) -> None:
        """Remove all workflows and runs."""
        for identifier in list(self.documents):
            self.remove(identifier)
        for run in list(self.runs.values()):
            self._drop(run)
        for node_run_id in list(self.reports):
            self._drop_report(node_run_id)

    def drop_ended(self, latest: WorkflowRun | None = None) -> bool:
        """Delete the oldest run that has ended.

        If none has ended, delete the oldest run other than `latest`, if it is set. Return whether a run was deleted.
        """
        others = [run for run in self.runs.values() if latest is None or run.id != latest.id]
        dropped = next((run for run in others if run.result is not None), others[0] if latest and others else None)
        if dropped is not None:
            self._drop(dropped)
        return dropped is not None

    def _drop(self, run: WorkflowRun) -> None:
        del self.runs[run.id]
        self._definitions.pop(run.id, None)
        self.record("workflow_run", run.id, None)
        for each in run.node_runs:
            self._run_of.pop(each.id, None)
            self.record("node_run", each.id, None)
            if each.id in self.reports:
                self._drop_report(each.id)

    def _drop_report(self, node_run_id: str) -> None:
        del self.reports[node_run_id]
        self.record("node_report", node_run_id, None)

    def load(self, kind: str, key: str, value: Any) -> None:
        """Load a row of the state file. Raises KeyError, TypeError or ValueError for a damaged row."""
        if kind == "workflow":
            read_workflow(value)
            self.documents[key] = value
        elif kind == "workflow_run":
            self._definitions[key] = value["workflow"]
            self._add_loaded(restored(value["run"], read_workflow(value["workflow"])))
        elif kind == "node_run":
            run, found = self.runs[value["run"]], restored_node_run(value["nodeRun"])
            self._add_loaded(replace(run, node_runs=(*run.node_runs[: value["number"]], found)))
        else:
            self.reports[key] = _restored_report(value)

    def _add_loaded(self, run: WorkflowRun) -> None:
        self.runs[run.id] = run
        self._run_of.update((each.id, run.id) for each in run.node_runs)


def _latest(logs: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    kept: list[Mapping[str, Any]] = []
    left = MAX_LOG_CHARACTERS
    for log in reversed(logs[-MAX_LOGS:]):
        left -= len(log["message"])
        if left < 0 and kept:
            break
        kept.append(log)
    return tuple(reversed(kept))


def _in_order(document: Mapping[str, Any], workflow: Workflow) -> list[Any]:
    """Return the nodes in topological order, like Port."""
    nodes = {node["identifier"]: node for node in document["nodes"]}
    return [nodes[identifier] for identifier in workflow.nodes]


def _saved_report(report: NodeReport) -> dict[str, Any]:
    outcome = report.outcome
    kept = {each.name: getattr(report, each.name) for each in fields(report) if each.name != "config"}
    return {**kept, "outcome": None if outcome is None else {"result": outcome.result, "output": outcome.output}}


def _restored_report(value: Mapping[str, Any]) -> NodeReport:
    outcome = value["outcome"]
    kept: dict[str, Any] = {
        **{name: tuple(value[name]) for name in ("links", "logs", "responses")},
        **{name: value[name] for name in ("external_run_id", "output", "claimed_until", "installation_id")},
        **{name: value[name] for name in ("is_acked", "is_for_agent")},
        **{name: value.get(name) for name in ("offered_to", "status_label")},  # older files do not have these fields
        "outcome": None
        if outcome is None
        else NodeOutcome(result=NodeResult(outcome["result"]), output=outcome["output"]),
    }
    return NodeReport(**kept)


def run_document(book: WorkflowBook, run: WorkflowRun, *, with_output: bool = True) -> dict[str, Any]:
    """Return a run in the format of Port's API. As in Port, lists of runs omit the outputs of their nodes."""
    updated = run.node_runs[-1].updated_at if run.node_runs else run.created_at
    identifier = run.workflow.identifier
    return {
        "identifier": run.id,
        "title": book.title_of(run),
        "status": run.status,
        "result": None if run.result is None else str(run.result),
        "nodeRuns": [node_run_document(book, run, each, with_output=with_output) for each in run.node_runs],
        "variables": {"outputs": {each.node: each.output for each in run.node_runs} if with_output else None},
        "createdAt": run.created_at,
        "updatedAt": updated,
        "completedAt": None if run.result is None else updated,
        "createdBy": str(run.by.get("email") or ""),
        "workflow": {"identifier": identifier, "version": book.version_of(run)},
        "workflowVersion": {"workflow": {"identifier": identifier}},
        "workflowVersionId": book.version_of(run),
    }


def node_run_document(
    book: WorkflowBook, run: WorkflowRun, node_run: NodeRun, *, with_output: bool = True, with_config: bool = False
) -> dict[str, Any]:
    """Return a node run in the format of Port's API."""
    node, report = run.node(node_run), book.report_on(node_run.id)
    shown = report.output if node_run.result is None and report.output is not None else node_run.output
    return {
        "identifier": node_run.id,
        "status": node_run.status,
        "result": None if node_run.result is None else str(node_run.result),
        "output": dict(shown) if with_output else {},
        "createdAt": node_run.created_at,
        "updatedAt": node_run.updated_at,
        "completedAt": None if node_run.result is None else node_run.updated_at,
        "node": {"identifier": node.identifier, **({"config": dict(node.config)} if with_config else {})},
        "nodeTitle": node.title or None,
        "nodeConfigType": node.type,
        "nodeRunLogs": [_legacy_log(log) for log in report.logs],
        "links": list(node_run.links or report.links),
        **({} if report.status_label is None else {"statusLabel": {"text": report.status_label}}),
        **({} if report.external_run_id is None else {"externalRunId": report.external_run_id}),
    }


def claimed_document(book: WorkflowBook, run: WorkflowRun, node_run: NodeRun) -> dict[str, Any]:
    """Return a claimed node run in the format that the published agent and Ocean read, with its rendered `config`."""
    report = book.reports[node_run.id]
    config = {**run.node(node_run).config, **(report.config or {})}
    until = report.claimed_until
    return {
        **node_run_document(book, run, node_run, with_config=True),
        "nodeUid": f"{run.workflow.identifier}:{node_run.node}",
        "config": config,
        "pendingExecution": True,
        "claimedUntil": None if until is None else format_time(until),
        "installationId": report.installation_id,
        "workflowRun": {"identifier": run.id},
    }


def _legacy_log(log: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "logLevel": log.get("level", "INFO"),
        "log": log.get("message", ""),
        "tags": {},
        "createdAt": log.get("createdAt"),
        "updatedAt": log.get("createdAt"),
    }
