"""Actions and automations in the sandbox: a sample to begin with, reading one, replacing one.

Fields and errors: Port's API reference, "Get an action/automation" and "Change an action/automation".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.retargeting import WEBHOOK, value_at
from port_hook_cli.invocations.records import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, invalid, read_body
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief


def show_action(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the answer to a GET; raises the 404 of an action that is not there."""
    return ApiResponse(status=200, document={"ok": True, "action": find_action(state, identifier)})


def replace_action(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Return the answer to a PUT, which replaces everything but what Port sets itself."""
    known = find_action(state, identifier)
    body = read_body(request, checks.ACTION, ("identifier", "trigger", "invocationMethod"))
    if body["identifier"] != identifier and body["identifier"] in state.actions:
        raise Refused(409, "identifier_taken", f'An action with identifier "{body["identifier"]}" already exists')
    if fault := find_method_fault(body["invocationMethod"]):
        raise invalid(fault)
    replaced = {
        "id": known["id"],
        **body,
        "createdBy": known.get("createdBy", state.client_id),
        "updatedBy": state.client_id,
        "createdAt": known.get("createdAt", format_time(state.now())),
        "updatedAt": format_time(state.now()),
    }
    state.remove_action(identifier)
    state.add_action(replaced)
    url = value_at(body, ("invocationMethod", "url"))
    note = f"changed {body['identifier']}" + (f", which points at {url}" if url else "")
    return ApiResponse(status=200, document={"ok": True, "action": replaced}, note=brief(note))


def find_action(state: SandboxState, identifier: str) -> dict[str, Any]:
    """Return an action as Port shows it; raises the 404."""
    action = state.actions.get(identifier)
    if action is None:
        raise Refused(404, "not_found", f'Action with identifier "{identifier}" was not found')
    return action


def find_method_fault(method: Mapping[str, Any], *, name_of: str = "body") -> str | None:
    """Return what is wrong with an invocation method; kinds other than WEBHOOK are not looked into."""
    if method.get("type") != WEBHOOK:
        return None
    return checks.find_fault(method, checks.WEBHOOK, required=("type", "url"), name_of=f"{name_of}/invocationMethod")
