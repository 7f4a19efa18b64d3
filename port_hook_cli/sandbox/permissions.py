"""Permissions to run and approve an action. The sandbox saves them but does not check them.

Routes and fields: Port's API reference, "Update an action's permissions". Port documents neither the permissions of a
new action nor the response of `auth/permissions`. Port's MCP server looks for the names of actions in that response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.retargeting import value_at
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.actions import find_action
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, invalid, read_body
from port_hook_cli.sandbox.state import SandboxState

_PARTS = {"execute": checks.EXECUTE_PERMISSIONS, "approve": checks.APPROVE_PERMISSIONS}
_NOBODY: Mapping[str, Any] = {"users": [], "roles": [], "teams": [], "policy": None}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"execute": {**_NOBODY, "ownedByTeam": False}, "approve": _NOBODY}


def list_own(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the permissions of the sandbox's credentials: every self-service action may be run."""
    permissions = [
        f"execute:actions:{identifier}"
        for identifier, action in state.actions.items()
        if value_at(action, ("trigger", "type")) == "self-service"
    ]
    return ApiResponse(status=200, document={"ok": True, "permissions": permissions})


def show_of_action(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET of an action's permissions."""
    find_action(state, identifier)
    return ApiResponse(status=200, document={"ok": True, "permissions": _of_action(state, identifier)})


def update_of_action(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the fields in the body. Other fields do not change."""
    find_action(state, identifier)
    body = read_body(request, checks.PERMISSIONS)
    for part, fields in _PARTS.items():
        if fault := checks.find_fault(body.get(part, {}), fields, name_of=f"body/{part}"):
            raise invalid(fault)
    known = _of_action(state, identifier)
    changed = {part: {**known[part], **body.get(part, {})} for part in _PARTS}
    state.set_resource(("permissions", identifier), changed)
    note = f"saved the permissions of {identifier}, which the sandbox does not check"
    return ApiResponse(status=200, document={"ok": True, "permissions": changed}, note=note)


def _of_action(state: SandboxState, identifier: str) -> dict[str, Any]:
    return state.resources.get(("permissions", identifier)) or {part: dict(_DEFAULTS[part]) for part in _PARTS}
