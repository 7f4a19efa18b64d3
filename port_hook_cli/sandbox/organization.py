"""The sandbox's organization without its catalog: settings, users, teams, secrets and Kafka credentials.

The users are fixed. The sandbox lists secrets by name. Their values never leave the sandbox, and its state file doesn't
contain them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from port_hook_cli.invocations.view import format_time
from port_hook_cli.sandbox import checks
from port_hook_cli.sandbox.messages import ApiRequest, ApiResponse, Rejected, not_found, ok, read_body, taken
from port_hook_cli.sandbox.state import SandboxState

_TEAM = "platform"
_TEAMS: Mapping[str, str] = {_TEAM: "The team of both users of the sandbox."}
_USERS = (("you@example.com", "Sandbox", "User", "Admin"), ("member@example.com", "Other", "Member", "Member"))


def show_organization(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the response to a GET for the organization."""
    return ok({"organization": state.organization})


def update_organization(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Set the settings in the body of a PATCH. The other settings don't change."""
    body = read_body(request, checks.ORGANIZATION)
    settings = {**state.organization["settings"], **body.pop("settings", {})}
    state.organization.update({**body, "settings": settings})
    state.record_change("organization", "", state.organization)
    return ok({"organization": state.organization}, "changed the organization")


def list_users(_: SandboxState, __: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all users."""
    return ok({"users": users()})


def show_user(_: SandboxState, __: ApiRequest, email: str) -> ApiResponse:
    """Return the response to a GET for a user."""
    for user in users():
        if user["email"] == email:
            return ok({"user": user})
    raise not_found("User with email", email)


def list_teams(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the response to a GET of all teams."""
    teams = [*(_team(name) for name in _TEAMS), *state.resources_of("team")]
    return ok({"teams": teams})


def create_team(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a team.

    Raises Rejected with 409 if the name is taken. The team may have users that the sandbox doesn't have.
    """
    body = read_body(request, checks.TEAM, required=("name",), others=True)
    name, at = body["name"], format_time(state.now())
    if name in _TEAMS or ("team", name) in state.resources:
        raise taken("A team with name", name)
    members = {user["email"]: _member(user) for user in users()}
    team = {
        "id": f"team_{secrets.token_hex(8)}",
        "name": name,
        "description": body.get("description", ""),
        "provider": "port",
        "users": [members.get(email, {"email": email}) for email in body.get("users", ())],
        "createdAt": at,
        "updatedAt": at,
    }
    state.set_resource(("team", name), team)
    return ok({"team": team}, f"created the team {name}")


def show_team(state: SandboxState, _: ApiRequest, name: str) -> ApiResponse:
    """Return the response to a GET for a team."""
    team = _team(name) if name in _TEAMS else state.resources.get(("team", name))
    if team is None:
        raise not_found("Team with name", name)
    return ok({"team": team})


def list_secrets(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return the names of the organization's secrets."""
    found = [_secret(state, name) for name in state.secrets]
    return ok({"secrets": found}, f"{len(found)} names")


def show_secret(state: SandboxState, _: ApiRequest, name: str) -> ApiResponse:
    """Return a secret without its value."""
    _check_secret(state, name)
    return ok({"secret": _secret(state, name)})


def create_secret(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Add a secret, which templates can then read from `.secrets`. Raises Rejected with 409 if the name is taken."""
    body = read_body(request, checks.SECRET, required=("secretName", "secretValue"))
    name = body["secretName"]
    if name in state.secrets:
        raise taken("A secret with name", name)
    return _save_secret(state, name, body, status=201)


def update_secret(state: SandboxState, request: ApiRequest, name: str) -> ApiResponse:
    """Set the value or the description of a secret."""
    _check_secret(state, name)
    return _save_secret(state, name, read_body(request, checks.SECRET_PATCH), status=200)


def delete_secret(state: SandboxState, _: ApiRequest, name: str) -> ApiResponse:
    """Delete a secret."""
    _check_secret(state, name)
    state.set_secret(name, None)
    return ok(note=f"deleted the secret {name}")


def show_kafka_credentials(state: SandboxState, _: ApiRequest) -> ApiResponse:
    """Return credentials for the user's own broker. Raises Rejected with 404 if the sandbox has no broker."""
    if not state.kafka_brokers:
        message = "The sandbox has no Kafka broker. Start the sandbox with --kafka HOST:PORT, or --kafka embedded"
        raise Rejected(404, "not_found", message)
    credentials = {
        "brokers": list(state.kafka_brokers),
        "username": state.organization["id"],
        "password": state.client_secret.reveal(),
    }
    return ok({"credentials": credentials}, "issued Kafka credentials")


def users() -> list[dict[str, Any]]:
    """Return the fixed users, in the format of Port's API."""
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
    members = [_member(user) for user in users()]
    return {"name": name, "description": _TEAMS[name], "provider": "port", "users": members}


def _member(user: Mapping[str, Any]) -> dict[str, Any]:
    return {part: user[part] for part in ("id", "email", "firstName", "lastName")}


def _secret(state: SandboxState, name: str) -> dict[str, str]:
    return {"secretName": name, "secretDescription": state.secret_descriptions.get(name, "")}


def _check_secret(state: SandboxState, name: str) -> None:
    if name not in state.secrets:
        raise not_found("Secret with name", name)


def _save_secret(state: SandboxState, name: str, body: Mapping[str, Any], *, status: int) -> ApiResponse:
    if "secretValue" in body:
        state.set_secret(name, body["secretValue"])
    if "description" in body:
        state.secret_descriptions[name] = body["description"]
    return ok({"secret": _secret(state, name)}, f"saved the secret {name}", status=status)
