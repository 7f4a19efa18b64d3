"""The versioned records of `trigger --json` for a workflow, described in docs/reference/json-records.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from port_hook_cli.actions.templates import UNDEFINED
from port_hook_cli.invocations.records import delivery_fields
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.records import TRIGGER
from port_hook_cli.workflows.run import WorkflowRun
from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
from port_hook_cli.workflows.walk import Step
from port_hook_cli.workflows.workflow import Workflow


def node_record(step: Step, url: str | None, masker: Masker) -> dict[str, Any]:
    """Return a step of a workflow's run as a record. Secrets are masked in it."""
    node_run, request, delivery = step.node_run, step.request, step.delivery
    target = None if url is None else masker.text(url)
    return {
        "schema": TRIGGER,
        "type": "node",
        "workflow": step.run.workflow.identifier,
        "run_id": step.run.id,
        "node": step.node.identifier,
        "node_type": step.node.type,
        "node_run_id": node_run.id,
        "status": node_run.status,
        "result": None if node_run.result is None else str(node_run.result),
        "output": masker.value(_plain(node_run.output)),
        "outlet": node_run.outlet,
        "links": [masker.text(link) for link in node_run.links],
        "request": None
        if request is None
        else {
            "method": request.method,
            "url": target,
            "body": None if request.body is UNDEFINED else masker.value(json.loads(request.content)),
            "synchronized": request.synchronized,
            "agent": request.agent,
        },
        "delivery": None if delivery is None else {**(delivery_fields(delivery) or {}), "url": target},
        "errors": [
            {"expression": error.expression.strip(), "message": masker.message(error.message)} for error in step.errors
        ],
        "remarks": list(step.remarks),
    }


def workflow_run_record(run: WorkflowRun) -> dict[str, Any]:
    """Return the end of a workflow's run, or where it waits, as a record."""
    current = run.current
    return {
        "schema": TRIGGER,
        "type": "workflow_run",
        "workflow": run.workflow.identifier,
        "run_id": run.id,
        "status": run.status,
        "result": None if run.result is None else str(run.result),
        "waits_for": None if current is None else {"node": current.node, "node_run_id": current.id},
        "logs": [],
    }


def port_node_record(workflow: Workflow, run: ShownRun, node_run: ShownNodeRun, masker: Masker) -> dict[str, Any]:
    """Return a node that has ended in Port as a record. Port sent its request, so the record has none."""
    known = workflow.nodes.get(node_run.node)
    return {
        "schema": TRIGGER,
        "type": "node",
        "workflow": workflow.identifier,
        "run_id": run.id,
        "node": node_run.node,
        "node_type": node_run.type or (None if known is None else known.type),
        "node_run_id": node_run.id,
        "status": node_run.status,
        "result": node_run.result,
        "output": masker.value(_plain(node_run.output)),
        "outlet": node_run.outlet,
        "links": [masker.text(link) for link in node_run.links],
        "request": None,
        "delivery": None,
        "errors": [],
        "remarks": [],
    }


def port_run_record(workflow: Workflow, run: ShownRun, logs: Sequence[str] = ()) -> dict[str, Any]:
    """Return a run in Port, as it was seen last, as a record. `logs` are the messages of its log."""
    current = run.current
    waits = None if current is None or run.has_ended else {"node": current.node, "node_run_id": current.id}
    return {
        "schema": TRIGGER,
        "type": "workflow_run",
        "workflow": workflow.identifier,
        "run_id": run.id,
        "status": run.status,
        "result": run.result,
        "waits_for": waits,
        "logs": list(logs),
    }


def _plain(output: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(output))
