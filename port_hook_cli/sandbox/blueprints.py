"""Blueprints with their scorecards, and pages: create, list, read, replace, change and delete them.

A strict sandbox checks entities against their blueprints. Otherwise, an entity may have a blueprint that was never
created.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.view import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Rejected, invalid, not_found, ok, read_body, taken
from port_hook_cli.sandbox.state import ResourceKey, SandboxState

_REQUIRED = ("identifier", "schema")
_SCORECARD_FIELDS = ("identifier", "title", "rules")


def list_blueprints(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all blueprints."""
    found = list(state.blueprints.values())
    return ok({"blueprints": found}, f"{len(found)} blueprints")


def create_blueprint(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a blueprint. Raises Rejected with 409 if its identifier is taken."""
    body = read_body(request, checks.BLUEPRINT, required=_REQUIRED, others=True)
    _reject_taken(state, ("blueprint", body["identifier"]))
    return _put_blueprint(state, body["identifier"], {}, body, status=201, verb="created")


def show_blueprint(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for a blueprint."""
    return ok({"blueprint": _find(state, ("blueprint", identifier))})


def replace_blueprint(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Replace all fields of a blueprint that a client can set."""
    known = _find(state, ("blueprint", identifier))
    body = read_body(request, checks.BLUEPRINT, required=_REQUIRED, others=True)
    kept = {name: known[name] for name in ("createdAt", "createdBy")}
    return _put_blueprint(state, identifier, kept, body, status=200, verb="replaced")


def update_blueprint(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the blueprint fields in the body. The other fields don't change."""
    known = _find(state, ("blueprint", identifier))
    body = read_body(request, checks.BLUEPRINT, others=True)
    return _put_blueprint(state, identifier, known, body, status=200, verb="changed")


def delete_blueprint(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete a blueprint. Raises Rejected if the blueprint has entities."""
    _find(state, ("blueprint", identifier))
    if any(blueprint == identifier for blueprint, _ in state.entities):
        raise Rejected(409, "has_dependents", f'Blueprint "{identifier}" has entities. Delete them first')
    state.set_blueprint(identifier, None)
    return ok(note=f"deleted the blueprint {identifier}")


def require_known(state: SandboxState, identifier: str) -> None:
    """Raise Rejected with 404 for an unknown blueprint that has no entities."""
    if identifier not in state.blueprints and not any(blueprint == identifier for blueprint, _ in state.entities):
        _find(state, ("blueprint", identifier))


def _put_blueprint(
    state: SandboxState,
    identifier: str,
    known: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    status: int,
    verb: str,
) -> ApiResponse:
    named = changes.get("identifier", identifier)
    if named != identifier:
        _reject_taken(state, ("blueprint", named))
        if any(blueprint == identifier for blueprint, _ in state.entities):
            raise invalid("body/identifier: the sandbox does not rename a blueprint that has entities")
        for card in state.resources_of("scorecard", identifier):
            state.set_resource(("scorecard", named, card["identifier"]), {**card, "blueprint": named})
        state.set_blueprint(identifier, None)
    blueprint = state.add_blueprint({**known, **changes, "identifier": named})
    return ok({"blueprint": blueprint}, f"{verb} the blueprint {named}", status=status)


def list_scorecards(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the scorecards of all blueprints."""
    return ok({"scorecards": state.resources_of("scorecard")})


def list_scorecards_of(state: SandboxState, _: ApiRequest, blueprint: str) -> ApiResponse:
    """Return the scorecards of a blueprint that the sandbox knows."""
    require_known(state, blueprint)
    return ok({"scorecards": state.resources_of("scorecard", blueprint)})


def create_scorecard(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Add a scorecard to a blueprint. Raises Rejected with 409 if its identifier is taken."""
    require_known(state, blueprint)
    body = read_body(request, checks.SCORECARD, required=_SCORECARD_FIELDS, others=True)
    key = ("scorecard", blueprint, body["identifier"])
    _reject_taken(state, key)
    return _save(state, key, {**body, "blueprint": blueprint}, status=201)


def show_scorecard(state: SandboxState, _: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Return the response to a GET for a scorecard."""
    known = _find(state, ("scorecard", blueprint, identifier))
    return ok({"scorecard": known})


def replace_scorecard(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Replace all fields of a scorecard that a client can set."""
    key = ("scorecard", blueprint, identifier)
    known = _find(state, key)
    body = read_body(request, checks.SCORECARD, required=_SCORECARD_FIELDS, others=True)
    named = ("scorecard", blueprint, body["identifier"])
    if named != key:
        _reject_taken(state, named)
        state.set_resource(key, None)
    kept = {name: known[name] for name in ("id", "createdAt", "createdBy")}
    return _save(state, named, {**kept, **body, "blueprint": blueprint}, status=200)


def delete_scorecard(state: SandboxState, _: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Delete a scorecard."""
    return _delete(state, ("scorecard", blueprint, identifier))


def create_page(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a page. Raises Rejected with 409 if its identifier is taken."""
    body = read_body(request, checks.PAGE, required=("identifier",), others=True)
    key = ("page", body["identifier"])
    _reject_taken(state, key)
    return _save(state, key, body, status=201)


def show_page(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for a page."""
    return ok({"page": _find(state, ("page", identifier))})


def delete_page(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete a page."""
    return _delete(state, ("page", identifier))


def _find(state: SandboxState, key: ResourceKey) -> dict[str, Any]:
    """Return a blueprint, scorecard or page."""
    held = state.blueprints.get(key[1]) if key[0] == "blueprint" else state.resources.get(key)
    if held is None:
        raise not_found(f"{key[0].capitalize()} with identifier", key[-1])
    return held


def _reject_taken(state: SandboxState, key: ResourceKey) -> None:
    if key in state.resources or (key[0] == "blueprint" and key[1] in state.blueprints):
        raise taken(f"A {key[0]} with identifier", key[-1])


def _save(state: SandboxState, key: ResourceKey, fields: Mapping[str, Any], *, status: int) -> ApiResponse:
    at = format_time(state.now())
    set_here = {"id": f"{key[0]}_{secrets.token_hex(8)}", "createdAt": at, "createdBy": state.client_id}
    saved = {**set_here, **fields, "updatedAt": at, "updatedBy": state.client_id}
    state.set_resource(key, saved)
    return ok({key[0]: saved}, f"saved the {key[0]} {key[-1]}", status=status)


def _delete(state: SandboxState, key: ResourceKey) -> ApiResponse:
    _find(state, key)
    state.set_resource(key, None)
    return ok(note=f"deleted the {key[0]} {key[-1]}")
