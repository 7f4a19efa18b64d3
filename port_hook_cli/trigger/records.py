"""The versioned records of `trigger --json`, which docs/reference/json-records.md describes. This module is pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from port_hook_cli.engines.outcomes import UNDEFINED, JqError
from port_hook_cli.invocations.headers import mask_headers
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.invocations.view import delivery_fields
from port_hook_cli.runs.fate import RunFate
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.action import RunRequest, SignedMessage, Unmet

if TYPE_CHECKING:
    from port_hook_cli.trigger.retry import Retry
    from port_hook_cli.workflows.shown_run import ShownNodeRun, ShownRun
    from port_hook_cli.workflows.walk import Step
    from port_hook_cli.workflows.workflow import Workflow

TRIGGER = "port-hook/trigger/1"

_FATES = {RunFate.SUCCESS: "SUCCESS", RunFate.FAILURE: "FAILURE", RunFate.WAITS: "IN_PROGRESS"}


def invocation_record(
    ready: RunRequest, delivery: Delivery | None = None, *, ended: str | None = None
) -> dict[str, Any]:
    """Return the record of a request, with secrets masked. `delivery` is None if the request was not sent.

    `ended` is the final status of the run in the sandbox.
    """
    request, masker = ready.made.request, ready.made.masker
    url = masker.text(ready.url)
    if delivery is not None and delivery.error:  # it contains the host, which a template may have made from a secret
        delivery = replace(delivery, error=masker.text(delivery.error))
    return {
        "schema": TRIGGER,
        "type": "invocation",
        "action": ready.made.action.identifier,
        "run_id": request.run_id,
        "method": request.method,
        "url": url,
        "headers": {
            masker.text(name): masker.text(_text(value)) for name, value in mask_headers(ready.invocation.headers)
        },
        "body": None if request.body is UNDEFINED else masker.value(json.loads(request.content)),
        "synchronized": request.synchronized,
        "agent": request.agent,
        "errors": _errors(request.errors, masker),
        "delivery": None if delivery is None else {**(delivery_fields(delivery) or {}), "url": url},
        "run_status": None if delivery is None else ended or _FATES.get(ready.fate(delivery)),
    }


def message_record(message: SignedMessage, published: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the record of a message on a Kafka topic, with secrets masked.

    `published` contains the `brokers`, `topic`, `partition` and `offset` of the message. It is None if the message was
    only printed.
    """
    made = message.made
    return {
        "schema": TRIGGER,
        "type": "message",
        "action": made.action or None,
        "run_id": made.run_id or None,
        "message": made.masker.value(json.loads(message.content)),
        "synchronized": made.synchronized,
        "agent": made.agent,
        "errors": _errors(made.errors, made.masker),
        "published": published,
    }


def unmet_record(unmet: Unmet) -> dict[str, Any]:
    """Return the record of an automation or workflow that does not run: its unmet expressions, with reasons."""
    return {
        "schema": TRIGGER,
        "type": "unmet",
        "action": unmet.action,
        "expressions": [{"expression": each.expression, "message": each.reason} for each in unmet.expressions],
    }


def run_record(action: str, run: Mapping[str, Any], *, page: str, logs: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record of a run in Port. `logs` are the messages in its log. `page` is its URL in Port, or ""."""
    return {
        "schema": TRIGGER,
        "type": "run",
        "action": action,
        "run_id": run.get("id"),
        "status": run.get("status"),
        "status_label": run.get("statusLabel"),
        "summary": run.get("summary"),
        "logs": list(logs),
        "page": page or None,
    }


def retry_record(retry: Retry) -> dict[str, Any]:
    """Return the record of a run from a node: which nodes that acted in other systems run again, and which do not."""
    return {
        "schema": TRIGGER,
        "type": "retry",
        "workflow": retry.workflow,
        "from": retry.node,
        "last_run_id": retry.last_run.id,
        "not_run_again": [_acted(each) for each in retry.kept],
        "run_again": [_acted(each) for each in retry.repeated],
    }


def _acted(node_run: ShownNodeRun) -> dict[str, Any]:
    return {
        "node": node_run.node,
        "node_type": node_run.type,
        "node_run_id": node_run.id,
        "status": node_run.status,
        "result": node_run.result,
    }


def step_record(step: Step, masker: Masker) -> dict[str, Any]:
    """Return the record of a node run on this machine, with secrets masked."""
    from port_hook_cli.workflows.shown_run import show_node_run

    return node_record(step.run.workflow, step.run.id, show_node_run(step.run, step.node_run), masker, step)


def node_record(
    workflow: Workflow, run_id: str, node_run: ShownNodeRun, masker: Masker, step: Step | None = None
) -> dict[str, Any]:
    """Return the record of a node run, with secrets masked.

    Without a `step`, Port ran the node and sent its request.
    """
    known = workflow.nodes.get(node_run.node)
    return {
        "schema": TRIGGER,
        "type": "node",
        "workflow": workflow.identifier,
        "run_id": run_id,
        "node": node_run.node,
        "node_type": node_run.type or (None if known is None else known.type),
        "node_run_id": node_run.id,
        "status": node_run.status,
        "result": node_run.result,
        "output": masker.value(json.loads(json.dumps(node_run.output))),
        "outlet": node_run.outlet,
        "links": [masker.text(link) for link in node_run.links],
        "request": None if step is None else _request(step, masker),
        "delivery": None if step is None else _delivery(step, masker),
        "errors": [] if step is None else _errors(step.errors, masker),
        "remarks": [] if step is None else list(step.remarks),
    }


def workflow_run_record(workflow: Workflow, run: ShownRun, logs: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record of a workflow run that has ended or that waits. `logs` are the messages in its log."""
    current = None if run.has_ended else run.current
    return {
        "schema": TRIGGER,
        "type": "workflow_run",
        "workflow": workflow.identifier,
        "run_id": run.id,
        "status": run.status,
        "result": run.result,
        "in_progress": None if current is None else {"node": current.node, "node_run_id": current.id},
        "logs": list(logs),
    }


def _request(step: Step, masker: Masker) -> dict[str, Any] | None:
    request = step.request
    if request is None:
        return None
    return {
        "method": request.method,
        "url": None if step.url is None else masker.text(step.url),
        "body": None if request.body is UNDEFINED else masker.value(json.loads(request.content)),
        "synchronized": request.synchronized,
        "agent": request.agent,
    }


def _delivery(step: Step, masker: Masker) -> dict[str, Any] | None:
    if step.delivery is None:
        return None
    url = None if step.url is None else masker.text(step.url)
    return {**(delivery_fields(step.delivery) or {}), "url": url}


def _errors(errors: Iterable[JqError], masker: Masker) -> list[dict[str, str]]:
    return [{"expression": error.expression.strip(), "message": masker.message(error.message)} for error in errors]


def _text(value: str) -> str:
    """Return a header value as UTF-8 text. The bytes of the value were decoded as Latin-1."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace")
