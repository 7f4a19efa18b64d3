"""Workflow runs and node runs as Port's API shows them.

Fields: Port's draft of the OpenAPI paths for workflows, its page on runs, and the clients that read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.records import format_time
from port_hook_cli.sandbox.workflows.book import NodeReport, WorkflowBook
from port_hook_cli.workflows.run import NodeRun, WorkflowRun


def run_document(book: WorkflowBook, run: WorkflowRun, *, with_output: bool = True) -> dict[str, Any]:
    """Return a run; lists leave the outputs of its nodes out, as Port's do."""
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
    """Return a node run."""
    node, report = run.node(node_run), book.reports.get(node_run.id, NodeReport())
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
    """Return a claimed node run in the format that the published agent and Ocean read: with the rendered `config`."""
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
