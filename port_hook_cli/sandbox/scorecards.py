"""Scorecards and pages, which the sandbox saves but does not calculate or show."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.records import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.blueprints import require_known
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, read_body
from port_hook_cli.sandbox.state import ResourceKey, SandboxState

_REQUIRED = ("identifier", "title", "rules")


def list_all(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the scorecards of all blueprints."""
    return ApiResponse(status=200, document={"ok": True, "scorecards": state.resources_of("scorecard")})


def list_of(state: SandboxState, _: ApiRequest, blueprint: str) -> ApiResponse:
    """Return the scorecards of a blueprint that the sandbox knows."""
    require_known(state, blueprint)
    return ApiResponse(status=200, document={"ok": True, "scorecards": state.resources_of("scorecard", blueprint)})


def create(state: SandboxState, request: ApiRequest, blueprint: str) -> ApiResponse:
    """Add a scorecard to a blueprint; 409 for an identifier that is taken."""
    require_known(state, blueprint)
    body = read_body(request, checks.SCORECARD, required=_REQUIRED, others=True)
    key = ("scorecard", blueprint, body["identifier"])
    _refuse_taken(state, key)
    return _save(state, key, {**body, "blueprint": blueprint}, status=201)


def show(state: SandboxState, _: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Return the response to a GET of a scorecard."""
    known = _find(state, ("scorecard", blueprint, identifier))
    return ApiResponse(status=200, document={"ok": True, "scorecard": known})


def replace(state: SandboxState, request: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Replace all fields except those that Port sets itself."""
    key = ("scorecard", blueprint, identifier)
    known = _find(state, key)
    body = read_body(request, checks.SCORECARD, required=_REQUIRED, others=True)
    named = ("scorecard", blueprint, body["identifier"])
    if named != key:
        _refuse_taken(state, named)
        state.set_resource(key, None)
    kept = {name: known[name] for name in ("id", "createdAt", "createdBy")}
    return _save(state, named, {**kept, **body, "blueprint": blueprint}, status=200)


def delete(state: SandboxState, _: ApiRequest, blueprint: str, identifier: str) -> ApiResponse:
    """Delete a scorecard."""
    return _delete(state, ("scorecard", blueprint, identifier))


def create_page(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a page; 409 for an identifier that is taken."""
    body = read_body(request, checks.PAGE, required=("identifier",), others=True)
    key = ("page", body["identifier"])
    _refuse_taken(state, key)
    return _save(state, key, body, status=201)


def show_page(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET of a page."""
    return ApiResponse(status=200, document={"ok": True, "page": _find(state, ("page", identifier))})


def delete_page(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete a page."""
    return _delete(state, ("page", identifier))


def _find(state: SandboxState, key: ResourceKey) -> dict[str, Any]:
    known = state.resources.get(key)
    if known is None:
        raise Refused(404, "not_found", f'{key[0].capitalize()} with identifier "{key[-1]}" was not found')
    return known


def _refuse_taken(state: SandboxState, key: ResourceKey) -> None:
    if key in state.resources:
        raise Refused(409, "identifier_taken", f'A {key[0]} with identifier "{key[-1]}" already exists')


def _save(state: SandboxState, key: ResourceKey, fields: Mapping[str, Any], *, status: int) -> ApiResponse:
    at = format_time(state.now())
    set_here = {"id": f"{key[0]}_{secrets.token_hex(8)}", "createdAt": at, "createdBy": state.client_id}
    saved = {**set_here, **fields, "updatedAt": at, "updatedBy": state.client_id}
    state.set_resource(key, saved)
    return ApiResponse(status=status, document={"ok": True, key[0]: saved}, note=f"saved the {key[0]} {key[-1]}")


def _delete(state: SandboxState, key: ResourceKey) -> ApiResponse:
    _find(state, key)
    state.set_resource(key, None)
    return ApiResponse(status=200, document={"ok": True}, note=f"deleted the {key[0]} {key[-1]}")
