"""Actions and automations in the sandbox, and their permissions: list, create, show, replace and delete them.

The fields and errors follow "Get an action/automation" and "Change an action/automation" in Port's API reference. The
functions whose names end with `_of` serve the old routes below a blueprint, which also accept actions in the format
before version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.actions.action import BadAction, converted, is_version1
from port_hook_cli.actions.retargeting import WEBHOOK, value_at
from port_hook_cli.invocations.view import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.blueprints import require_known
from port_hook_cli.sandbox.messages import (
    ApiRequest,
    ApiResponse,
    invalid,
    not_found,
    not_found_in,
    ok,
    read_body,
    taken,
)
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief

_REQUIRED = ("identifier", "trigger", "invocationMethod")


# The query parameters of Port's "Get actions/automations" that filter actions by a value, and the paths of that value
# in an action.
_FILTERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "action_identifier": (("identifier",),),
    "blueprint_identifier": (("trigger", "blueprintIdentifier"), ("trigger", "event", "blueprintIdentifier")),
    "operation": (("trigger", "operation"),),
    "trigger_type": (("trigger", "type"),),
    "trigger_event": (("trigger", "event", "type"),),
    "trigger_event_action_identifier": (("trigger", "event", "actionIdentifier"),),
}
_PARTS = {"execute": checks.EXECUTE_PERMISSIONS, "approve": checks.APPROVE_PERMISSIONS}
_NOBODY: Mapping[str, Any] = {"users": [], "roles": [], "teams": [], "policy": None}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"execute": {**_NOBODY, "ownedByTeam": False}, "approve": _NOBODY}


def list_actions(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Return the actions and automations that match all filters of the query. Other parameters are ignored."""
    return _listed([action for action in state.actions.values() if _matches(action, request.query)])


def _matches(action: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    for name, paths in _FILTERS.items():
        if name in query and not any(value_at(action, path) in query[name].split(",") for path in paths):
            return False
    if value_at(action, ("trigger", "type")) != "automation" or query.get("published") != "true":
        return True
    return action.get("publish") is not False


def create_action(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add an action or automation. Raises Rejected with 409 if its identifier is taken."""
    return _create(state, _read_action(request))


def delete_action(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete an action. The runs of the action stay."""
    find_action(state, identifier)
    state.remove_action(identifier)
    _move_permissions(state, identifier, None)
    return ok(note=brief(f"deleted {identifier}"))


def list_actions_of(state: SandboxState, _: ApiRequest, blueprint: str) -> ApiResponse:
    """Return the actions of a blueprint. Raises Rejected with 404 for an unknown blueprint."""
    found = [action for action in state.actions.values() if _blueprint_of(action) == blueprint]
    if not found:
        require_known(state, blueprint)
    return _listed(found)


def create_action_of(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Add an action to a blueprint."""
    return _create(state, _read_action(request, blueprint))


def show_action_of(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Return the response to a GET for a blueprint's action."""
    find_action_of(state, blueprint, identifier)
    return show_action(state, request, identifier)


def replace_action_of(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Replace an action of a blueprint."""
    find_action_of(state, blueprint, identifier)
    return _replace(state, identifier, _read_action(request, blueprint))


def delete_action_of(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Delete an action of a blueprint."""
    find_action_of(state, blueprint, identifier)
    return delete_action(state, request, identifier)


def show_action(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for an action. Raises Rejected with 404 for an unknown action."""
    return ok({"action": find_action(state, identifier)})


def replace_action(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a PUT for an action. The PUT replaces all fields that a client can set."""
    find_action(state, identifier)
    return _replace(state, identifier, read_body(request, checks.ACTION, _REQUIRED))


def list_own_permissions(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the permissions of the sandbox's credentials. They allow every self-service action."""
    permissions = [
        f"execute:actions:{identifier}"
        for identifier, action in state.actions.items()
        if value_at(action, ("trigger", "type")) == "self-service"
    ]
    return ok({"permissions": permissions})


def show_permissions(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for an action's permissions."""
    find_action(state, identifier)
    return ok({"permissions": _of_action(state, identifier)})


def update_permissions(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the permissions in the body. The other permissions of the action don't change."""
    find_action(state, identifier)
    body = read_body(request, checks.PERMISSIONS)
    for part, fields in _PARTS.items():
        if fault := checks.find_fault(body.get(part, {}), fields, name_of=f"body/{part}"):
            raise invalid(fault)
    known = _of_action(state, identifier)
    changed = {part: {**known[part], **body.get(part, {})} for part in _PARTS}
    state.set_resource(("permissions", identifier), changed)
    note = f"saved the permissions of {identifier}, which the sandbox does not check"
    return ok({"permissions": changed}, note)


def _of_action(state: SandboxState, identifier: str) -> dict[str, Any]:
    return state.resources.get(("permissions", identifier)) or {part: dict(_DEFAULTS[part]) for part in _PARTS}


def find_action(state: SandboxState, identifier: str) -> dict[str, Any]:
    """Return an action in the format of Port's API. Raises Rejected with 404 for an unknown action."""
    action = state.actions.get(identifier)
    if action is None:
        raise not_found("Action with identifier", identifier)
    return action


def find_method_fault(method: Mapping[str, Any], *, name_of: str = "body") -> str | None:
    """Return the first error in an invocation method, or None. Only WEBHOOK methods are checked."""
    if method.get("type") != WEBHOOK:
        return None
    return checks.find_fault(method, checks.WEBHOOK, required=("type", "url"), name_of=f"{name_of}/invocationMethod")


def find_action_of(state: SandboxState, blueprint: str, identifier: str) -> dict[str, Any]:
    """Return an action of a blueprint. Raises Rejected with 404 if the action belongs to another blueprint."""
    action = find_action(state, identifier)
    if _blueprint_of(action) != blueprint:
        raise not_found_in(blueprint, "Action with identifier", identifier)
    return action


def _replace(state: SandboxState, identifier: str, body: Mapping[str, Any]) -> ApiResponse:
    known = find_action(state, identifier)
    if body["identifier"] != identifier:
        _reject_taken(state, body["identifier"])
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
    _move_permissions(state, identifier, body["identifier"])
    return _saved(replaced, "changed", status=200)


def _move_permissions(state: SandboxState, identifier: str, named: str | None) -> None:
    """Move the permissions of an action to the action's new identifier, or delete them if there is none."""
    permissions = state.resources.get(("permissions", identifier))
    if permissions is not None and named != identifier:
        state.set_resource(("permissions", identifier), None)
        if named is not None:
            state.set_resource(("permissions", named), permissions)


def _create(state: SandboxState, action: Mapping[str, Any]) -> ApiResponse:
    if fault := find_method_fault(action["invocationMethod"]):
        raise invalid(fault)
    _reject_taken(state, action["identifier"])
    return _saved(state.add_action(action), "created", status=201)


def _read_action(request: ApiRequest, blueprint: str | None = None) -> dict[str, Any]:
    """Return the action in a request body, converted if it is in the format before version 2.

    `blueprint` is the blueprint in the path of an old route.
    """
    action = read_body(request, {}, ("identifier", "invocationMethod"), others=True)
    if is_version1(action):
        try:
            action = converted(action)
        except BadAction as bad:
            raise invalid(f"body {bad}") from None
    if blueprint is not None and isinstance(action.get("trigger"), Mapping):
        action = {**action, "trigger": {**action["trigger"], "blueprintIdentifier": blueprint}}
    if fault := checks.find_fault(action, checks.ACTION, required=_REQUIRED):
        raise invalid(fault)
    return action


def _reject_taken(state: SandboxState, identifier: str) -> None:
    if identifier in state.actions:
        raise taken("An action with identifier", identifier)


def _blueprint_of(action: Mapping[str, Any]) -> Any:
    return value_at(action, ("trigger", "blueprintIdentifier"))


def _listed(actions: list[dict[str, Any]]) -> ApiResponse:
    return ok({"actions": actions}, f"{len(actions)} actions")


def _saved(action: Mapping[str, Any], verb: str, *, status: int) -> ApiResponse:
    url = value_at(action, ("invocationMethod", "url"))
    note = f"{verb} {action['identifier']}" + (f", its URL is {url}" if url else "")
    return ok({"action": action}, brief(note), status=status)
