"""Calls about workflows and their runs: manage the definitions, and start, list, read and cancel runs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from port_hook_cli.invocations.view import format_time
from port_hook_cli.runs.ids import make_run_id
from port_hook_cli.sandbox.checks import NEW_WORKFLOW_RUN, WORKFLOW
from port_hook_cli.sandbox.messages import (
    DISABLED,
    ApiRequest,
    ApiResponse,
    Rejected,
    invalid,
    not_found,
    ok,
    read_body,
    taken,
)
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.sandbox.workflows.book import run_document
from port_hook_cli.workflows.run import WorkflowRun, cancel, start
from port_hook_cli.workflows.workflow import BadWorkflow, Node, NodeType, read_workflow

_MOST_RUNS = 1000
_BY = {"email": "you@example.com", "firstName": "Sandbox", "lastName": "User"}


def list_workflows(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all workflows."""
    found = list(state.workflows.documents.values())
    return ok({"workflows": found}, f"{len(found)} workflows")


def create_workflow(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a workflow. Raises Rejected with 409 if its identifier is taken."""
    body = read_body(request, WORKFLOW, required=("identifier",), others=True)
    if body["identifier"] in state.workflows.documents:
        raise taken("A workflow with identifier", body["identifier"])
    return _put(state, body, status=201, note="created the workflow")


def show_workflow(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for a workflow."""
    return ok({"workflow": find_workflow(state, identifier)})


def replace_workflow(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Create a new version of a workflow."""
    find_workflow(state, identifier)
    body = read_body(request, WORKFLOW, required=("identifier",), others=True)
    if body["identifier"] != identifier:
        raise invalid("body/identifier must be the identifier in the path: the sandbox does not rename workflows")
    return _put(state, body, status=200, note="replaced the workflow")


def delete_workflow(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete a workflow. The runs of the workflow continue."""
    found = find_workflow(state, identifier)
    state.workflows.remove(identifier)
    return ok({"workflow": found}, "deleted the workflow")


def show_node(state: SandboxState, _: ApiRequest, identifier: str, node: str) -> ApiResponse:
    """Return the response to a GET for a node. It contains the node under both names that clients read."""
    for found in find_workflow(state, identifier)["nodes"]:
        if found["identifier"] == node:
            return ok({"node": found, "workflow": found})
    raise not_found("The node with identifier", node)


def list_triggers(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the self-service triggers of all workflows. Port does not document their fields."""
    found: list[dict[str, Any]] = [
        {"workflow": {"identifier": workflow["identifier"], "title": workflow.get("title")}, "node": node}
        for workflow in state.workflows.documents.values()
        for node in workflow["nodes"]
        if node["config"]["type"] == NodeType.SELF_SERVE_TRIGGER
    ]
    return ok({"triggers": found})


def find_workflow(state: SandboxState, identifier: str) -> dict[str, Any]:
    """Return a workflow in the format of Port's API. Raises Rejected with 404 for an unknown workflow."""
    found = state.workflows.documents.get(identifier)
    if found is None:
        raise not_found("The workflow with identifier", identifier)
    return found


def _put(state: SandboxState, body: dict[str, Any], *, status: int, note: str) -> ApiResponse:
    try:
        shown = state.workflows.put(body, org=state.organization["id"], by=state.client_id)
    except BadWorkflow as problem:
        raise invalid(f"The workflow {problem}") from problem
    return ok({"workflow": shown}, f"{note} {shown['identifier']}", status=status)


def start_run(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Start a workflow run at its trigger. The run continues after the response. Only required inputs are checked."""
    document = find_workflow(state, identifier)
    body = read_body(request, NEW_WORKFLOW_RUN)
    workflow = read_workflow(document)
    try:
        trigger = workflow.trigger(body.get("nodeIdentifier"))
    except BadWorkflow as problem:
        raise invalid(f"The workflow {problem}") from problem
    run = start(
        workflow,
        trigger,
        output=_inputs(trigger, body.get("inputs") or {}),
        run_id=make_run_id(secrets.choice, "wfr_"),
        node_run_id=make_run_id(secrets.choice, "wfnr_"),
        next_id=make_run_id(secrets.choice, "wfnr_"),
        at=format_time(state.now()),
        by=_BY,
    )
    state.workflows.save(run, definition=document)
    state.add_workflow_event(run, "was started")
    return ok(
        {"workflowRun": run_document(state.workflows, run)},
        f"started a run of {identifier}{'' if trigger.is_published else DISABLED.format('published')}",
        status=201,
        run_id=run.id,
        walks=run.id,
    )


def list_runs(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the runs that match all filters, latest first. Like Port, ignore unknown filters."""
    query = request.query
    found = [run for run in reversed(state.workflows.runs.values()) if _matches(state, run, query)]
    offset = _number(query, "offset", 0)
    page = found[offset : offset + min(_number(query, "limit", _MOST_RUNS), _MOST_RUNS)]
    documents = [run_document(state.workflows, run, with_output=False) for run in page]
    return ok({"workflowRuns": documents}, f"{len(page)} runs")


def show_run(state: SandboxState, _: ApiRequest, run_id: str) -> ApiResponse:
    """Return the response to a GET for a workflow run."""
    run = find_run(state, run_id)
    return ok({"workflowRun": run_document(state.workflows, run)}, run_id=run.id)


def list_logs(state: SandboxState, _: ApiRequest, run_id: str) -> ApiResponse:
    """Return the log of all nodes of a run, in the order of the nodes."""
    run = find_run(state, run_id)
    logs = [
        {**log, "nodeRunIdentifier": each.id}
        for each in run.node_runs
        for log in state.workflows.report_on(each.id).logs
    ]
    return ok({"logs": logs}, run_id=run.id)


def cancel_run(state: SandboxState, _: ApiRequest, run_id: str) -> ApiResponse:
    """Cancel a workflow run immediately, with or without `force`, and without waiting for the node in progress."""
    run = find_run(state, run_id)
    if run.result is not None:
        raise Rejected(422, "run_ended", f'Workflow run "{run_id}" already finished execution')
    ended = cancel(run, at=format_time(state.now()))
    state.workflows.save(ended)
    state.add_workflow_event(ended, "was cancelled")
    return ok(note="cancelled the run", run_id=run_id)


def find_run(state: SandboxState, run_id: str) -> WorkflowRun:
    """Return a workflow run. Raises Rejected with 404 for an unknown run."""
    run = state.workflows.runs.get(run_id)
    if run is None:
        raise not_found("The workflow run with identifier", run_id)
    return run


def _inputs(trigger: Node, given: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = trigger.config.get("userInputs")
    if trigger.type != NodeType.SELF_SERVE_TRIGGER or not isinstance(asked, Mapping):
        return given
    declared = asked.get("properties")
    properties = declared if isinstance(declared, Mapping) else {}
    defaults = {
        name: rules["default"]
        for name, rules in properties.items()
        if isinstance(rules, Mapping) and "default" in rules and not isinstance(rules["default"], Mapping)
    }
    values = {**defaults, **given}
    required = asked.get("required")
    for name in required if isinstance(required, list) else ():
        if values.get(name) is None:
            raise invalid(f"body/inputs must have required property '{name}'")
    for name in given:
        if name not in properties:
            raise invalid(f"body/inputs must NOT have additional property '{name}'")
    return values


def _matches(state: SandboxState, run: WorkflowRun, query: Mapping[str, str]) -> bool:
    values: dict[str, Callable[[], str]] = {
        "workflowRunIdentifiers": lambda: run.id,
        "workflowIdentifiers": lambda: run.workflow.identifier,
        "workflowVersions": lambda: str(state.workflows.version_of(run)),
        "createdBy": lambda: str(run.by.get("email") or ""),
        "statuses": lambda: run.status,
        "results": lambda: str(run.result),
    }
    return all(value() in query[name].split(",") for name, value in values.items() if name in query)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - digits of a sensible number
        raise invalid(f"querystring/{name} must be a whole number >= 0")
    return int(text)
