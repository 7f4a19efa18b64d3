"""Workflows in the sandbox: create, list, read, replace, delete, and their nodes."""

from __future__ import annotations

from typing import Any

from port_hook_cli.sandbox.checks import OTHERS_ALLOWED, WORKFLOW
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, invalid, read_body
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.workflows.workflow import BadWorkflow, NodeType, read_workflow


def list_workflows(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all workflows."""
    found = list(state.workflows.documents.values())
    return ApiResponse(status=200, document={"ok": True, "workflows": found}, note=f"{len(found)} workflows")


def create_workflow(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a workflow; 409 for an identifier that is taken."""
    body = read_body(request, WORKFLOW, required=("identifier",), others=OTHERS_ALLOWED)
    if body["identifier"] in state.workflows.documents:
        raise Refused(409, "identifier_taken", f'A workflow with identifier "{body["identifier"]}" already exists')
    return _put(state, body, status=201, note="created the workflow")


def show_workflow(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET of a workflow."""
    return ApiResponse(status=200, document={"ok": True, "workflow": find_workflow(state, identifier)})


def replace_workflow(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Make a new version of a workflow."""
    find_workflow(state, identifier)
    body = read_body(request, WORKFLOW, required=("identifier",), others=OTHERS_ALLOWED)
    if body["identifier"] != identifier:
        raise invalid("body/identifier must be the identifier in the path: the sandbox does not rename workflows")
    return _put(state, body, status=200, note="replaced the workflow")


def delete_workflow(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete a workflow; its runs go on."""
    found = find_workflow(state, identifier)
    state.workflows.remove(identifier)
    return ApiResponse(status=200, document={"ok": True, "workflow": found}, note="deleted the workflow")


def show_node(state: SandboxState, _: ApiRequest, identifier: str, node: str) -> ApiResponse:
    """Return the response to a GET of a node, under both names that clients read."""
    for found in find_workflow(state, identifier)["nodes"]:
        if found["identifier"] == node:
            return ApiResponse(status=200, document={"ok": True, "node": found, "workflow": found})
    raise Refused(404, "not_found", f'The node with identifier "{node}" was not found')


def list_triggers(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the self-service triggers of all workflows. Port does not document their fields."""
    found: list[dict[str, Any]] = [
        {"workflow": {"identifier": workflow["identifier"], "title": workflow.get("title")}, "node": node}
        for workflow in state.workflows.documents.values()
        for node in workflow["nodes"]
        if node["config"]["type"] == NodeType.SELF_SERVE_TRIGGER
    ]
    return ApiResponse(status=200, document={"ok": True, "triggers": found})


def find_workflow(state: SandboxState, identifier: str) -> dict[str, Any]:
    """Return a workflow as Port shows it; raises the 404."""
    found = state.workflows.documents.get(identifier)
    if found is None:
        raise Refused(404, "not_found", f'The workflow with identifier "{identifier}" was not found')
    return found


def _put(state: SandboxState, body: dict[str, Any], *, status: int, note: str) -> ApiResponse:
    try:
        read_workflow(body)
    except BadWorkflow as problem:
        raise invalid(f"The workflow {problem}") from problem
    shown = state.workflows.put(body, org=state.organization["id"], by=state.client_id)
    return ApiResponse(status=status, document={"ok": True, "workflow": shown}, note=f"{note} {shown['identifier']}")
