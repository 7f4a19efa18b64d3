"""What the sandbox's organization has besides its catalog: users, teams, secrets, integrations, scorecards, Kafka.

Users and teams are fixed. Secrets are listed by name; their values never leave the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.records import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.blueprints import require_known
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Refused, read_body
from port_hook_cli.sandbox.state import SandboxState

_TEAM = "platform"
_TEAMS: Mapping[str, str] = {_TEAM: "The team of both users of the sandbox."}
_USERS = (("you@example.com", "Sandbox", "User", "Admin"), ("member@example.com", "Other", "Member", "Member"))


def list_users(_: SandboxState, __: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all users."""
    return ApiResponse(status=200, document={"ok": True, "users": _users()})


def show_user(_: SandboxState, __: ApiRequest, email: str) -> ApiResponse:
    """Return the response to a GET of a user."""
    for user in _users():
        if user["email"] == email:
            return ApiResponse(status=200, document={"ok": True, "user": user})
    raise Refused(404, "not_found", f'User with email "{email}" was not found')


def list_teams(_: SandboxState, __: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all teams."""
    return ApiResponse(status=200, document={"ok": True, "teams": [_team(name) for name in _TEAMS]})


def show_team(_: SandboxState, __: ApiRequest, name: str) -> ApiResponse:
    """Return the response to a GET of a team."""
    if name not in _TEAMS:
        raise Refused(404, "not_found", f'Team with name "{name}" was not found')
    return ApiResponse(status=200, document={"ok": True, "team": _team(name)})


def list_scorecards(_: SandboxState, __: ApiRequest) -> ApiResponse:
    """Return no scorecards: none can be created here."""
    return ApiResponse(status=200, document={"ok": True, "scorecards": []})


def list_scorecards_of(state: SandboxState, _: ApiRequest, blueprint: str) -> ApiResponse:
    """Return no scorecards of a blueprint that the sandbox knows."""
    require_known(state, blueprint)
    return ApiResponse(status=200, document={"ok": True, "scorecards": []})


def list_secrets(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the names of the organization's secrets."""
    found = [_secret(name) for name in state.secrets]
    return ApiResponse(status=200, document={"ok": True, "secrets": found}, note=f"{len(found)} names")


def show_secret(state: SandboxState, _: ApiRequest, name: str) -> ApiResponse:
    """Return a secret without its value."""
    if name not in state.secrets:
        raise Refused(404, "not_found", f'Secret with name "{name}" was not found')
    return ApiResponse(status=200, document={"ok": True, "secret": _secret(name)})


def create_integration(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add an integration, or change the one with this `installationId`."""
    body = read_body(request, checks.INTEGRATION, required=("installationId",), others=True)
    known = state.integrations.get(body["installationId"], {})
    return _save_integration(state, body["installationId"], {**known, **body}, status=200 if known else 201)


def show_integration(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Return the response to a GET of an integration."""
    return ApiResponse(status=200, document={"ok": True, "integration": _integration(state, identifier)})


def update_integration(state: SandboxState, request: ApiRequest, identifier: str) -> ApiResponse:
    """Set the fields in the body; the identifier stays."""
    known = _integration(state, identifier)
    body = read_body(request, checks.INTEGRATION, others=True)
    return _save_integration(state, identifier, {**known, **body, "installationId": identifier}, status=200)


def delete_integration(state: SandboxState, _: ApiRequest, identifier: str) -> ApiResponse:
    """Delete an integration."""
    _integration(state, identifier)
    state.set_integration(identifier, None)
    return ApiResponse(status=200, document={"ok": True}, note=f"deleted the integration {identifier}")


def show_kafka_credentials(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return credentials for the user's own broker; raises Refused with 404 if the sandbox was given none."""
    if not state.kafka_brokers:
        message = "The sandbox has no Kafka broker. Give it one with --kafka HOST:PORT, or --kafka embedded"
        raise Refused(404, "not_found", message)
    credentials = {
        "brokers": list(state.kafka_brokers),
        "username": state.organization["id"],
        "password": state.client_secret.reveal(),
    }
    return ApiResponse(status=200, document={"ok": True, "credentials": credentials}, note="issued Kafka credentials")


def _users() -> list[dict[str, Any]]:
    return [
        {
            "id": f"sandbox|{email.partition('@')[0]}",
            "email": email,
            "firstName": first,
            "lastName": last,
            "status": "ACTIVE",
            "roles": [{"name": role}],
            "teams": [{"name": _TEAM}],
        }
        for email, first, last, role in _USERS
    ]


def _team(name: str) -> dict[str, Any]:
    members = [{part: user[part] for part in ("id", "email", "firstName", "lastName")} for user in _users()]
    return {"name": name, "description": _TEAMS[name], "provider": "port", "users": members}


def _secret(name: str) -> dict[str, str]:
    return {"secretName": name, "secretDescription": ""}


def _integration(state: SandboxState, identifier: str) -> dict[str, Any]:
    integration = state.integrations.get(identifier)
    if integration is None:
        raise Refused(404, "not_found", f'Integration with identifier "{identifier}" was not found')
    return integration


def _save_integration(state: SandboxState, identifier: str, fields: Mapping[str, Any], *, status: int) -> ApiResponse:
    at = format_time(state.now())
    integration = {"config": {}, "createdAt": at, **fields, "updatedAt": at}
    state.set_integration(identifier, integration)
    document = {"ok": True, "integration": integration}
    return ApiResponse(status=status, document=document, note=f"saved the integration {identifier}")
