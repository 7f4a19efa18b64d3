"""Integrations: what an integration built on Port's Ocean framework registers, saves and sends while it runs.

Port's API reference has routes that create, read, change and delete integrations. Ocean 0.56.2 calls the other routes,
which Port does not document. The sandbox accepts the data that an integration sends for Port's own use (logs, metrics,
examples, raw data), but does not save it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from port_hook_cli.invocations.view import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Rejected, invalid, not_found, ok, read_body
from port_hook_cli.sandbox.state import SandboxState
from port_hook_cli.text.safe import brief

_INGEST = "/v1/sandbox/ingest"
_DESTINATIONS = ("logAttributes", "metricAttributes", "ingestAttributes")


def create(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add an integration, or change the integration that already has this `installationId`."""
    body = read_body(request, checks.INTEGRATION, required=("installationId",), others=True)
    known = state.integrations.get(body["installationId"], {})
    return _save(state, body["installationId"], {**known, **body}, status=200 if known else 201)


def show(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET for an integration."""
    return ok({"integration": _shown(state, identifier, _find(state, identifier))})


def update(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the integration fields in the body. The identifier doesn't change."""
    known = _find(state, identifier)
    body = read_body(request, checks.INTEGRATION, others=True)
    return _save(state, identifier, {**known, **body, "installationId": identifier}, status=200)


def update_config(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the mapping of an integration."""
    known = _find(state, identifier)
    body = read_body(request, checks.INTEGRATION_CONFIG, required=("config",))
    return _save(state, identifier, {**known, **body}, status=200)


def update_resync_state(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the state of an integration's latest synchronization."""
    known = _find(state, identifier)
    body = read_body(request, {}, others=True)
    return _save(state, identifier, {**known, "resyncState": {**known.get("resyncState", {}), **body}}, status=200)


def delete(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete an integration and its cursors."""
    _find(state, identifier)
    state.set_integration(identifier, None)
    for key in [key for key in state.resources if key[:2] == ("cursor", identifier)]:
        state.set_resource(key, None)
    return ok(note=f"deleted the integration {identifier}")


def list_provisioned(_: SandboxState, __: ApiRequest) -> ApiResponse:
    """Return an empty list: unlike Port, the sandbox does not create default blueprints and mappings."""
    return ok({"integrations": []})


def show_resync_request(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return a response that says that the sandbox does not request a synchronization."""
    _find(state, identifier)
    return ok({"request": None})


def show_cursor(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Return the cursor of a `kind` and `index`, or null if this cursor is not set."""
    _find(state, identifier)
    cursor = state.resources.get(_cursor(request, identifier))
    return ok({"cursor": cursor})


def create_cursor(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the cursor of a `kind` and `index`."""
    _find(state, identifier)
    cursor = read_body(request, checks.CURSOR, required=("primary",))
    state.set_resource(_cursor(request, identifier), cursor)
    return ok({"cursor": cursor}, "saved the cursor")


def replace_cursor(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Replace a cursor. Raises Rejected with 404 if the cursor does not exist."""
    key = _cursor(request, identifier)
    if key not in state.resources:
        raise Rejected(404, "not_found", f"The cursor of {key[2]} {key[3]} was not found")
    return create_cursor(state, request, identifier)


def ignore(state: SandboxState, _: ApiRequest, identifier: str, *__: str) -> ApiResponse:
    """Accept data that an integration sends for Port's own use, without saving it."""
    _find(state, identifier)
    return ok(note="not saved")


def ignore_probe(_: SandboxState, __: ApiRequest, ___: str, probe: str) -> ApiResponse:
    """Accept the result of a health probe, which Ocean sends, without saving it."""
    return ok(note=f"the result of the probe {brief(probe)} is not saved")


def _find(state: SandboxState, identifier: str) -> dict[str, Any]:
    integration = state.integrations.get(identifier)
    if integration is None:
        raise not_found("Integration with identifier", identifier)
    return integration


def _cursor(request: ApiRequest, identifier: str) -> tuple[str, str, str, str]:
    for name in ("kind", "index"):
        if not request.query.get(name):
            raise invalid(f"querystring must have required property '{name}'")
    return "cursor", identifier, request.query["kind"], request.query["index"]


def _save(state: SandboxState, identifier: str, fields: Mapping[str, Any], *, status: int) -> ApiResponse:
    at = format_time(state.now())
    integration = {"config": {}, "createdAt": at, **fields, "updatedAt": at}
    state.set_integration(identifier, integration)
    return ok(
        {"integration": _shown(state, identifier, integration)}, f"saved the integration {identifier}", status=status
    )


def _shown(state: SandboxState, identifier: str, integration: Mapping[str, Any]) -> dict[str, Any]:
    """Return an integration with the sandbox's URLs for the logs, metrics and raw data of the integration."""
    address = f"{state.url}{_INGEST}/{quote(identifier, safe='')}"
    return {**{name: {"ingestUrl": address} for name in _DESTINATIONS}, **integration}
