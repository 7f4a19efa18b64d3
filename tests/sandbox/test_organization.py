"""Users, teams, secrets, permissions, scorecards, pages, AI, integrations and Kafka's credentials."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import ApiEvent, Sandbox
from tests.sandbox.workflow_runs import ended, running, started
from tests.sandbox_clients import a_client, rejection, require_invalid
from tests.sandboxes import one_node, sandbox_with, saved_state
from tests.servers import Handler


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with sandbox_with(secrets={"HOOK": "hush-value"}) as sandbox, a_client(sandbox) as client:
        yield client


async def test_users_and_teams_are_found_by_name(client: httpx.AsyncClient) -> None:
    users = (await client.get("/v1/users")).json()["users"]
    assert [user["email"] for user in users] == ["you@example.com", "member@example.com"]
    assert (await client.get("/v1/users/you@example.com")).json()["user"] == users[0]
    (team,) = (await client.get("/v1/teams")).json()["teams"]
    assert (await client.get("/v1/teams/platform")).json()["team"] == team
    assert [user["email"] for user in team["users"]] == ["you@example.com", "member@example.com"]


async def test_unknown_name_is_not_found(client: httpx.AsyncClient) -> None:
    for path in (
        "/v1/users/nobody@example.com",
        "/v1/teams/other",
        "/v1/organization/secrets/OTHER",
        "/v1/integration/other",
        "/v1/blueprints/other/scorecards",
        "/v1/kafka-credentials",
    ):
        assert (await rejection(client.get(path)))[:2] == (404, "not_found")


async def test_secrets_are_listed_without_their_values(client: httpx.AsyncClient) -> None:
    listed = await client.get("/v1/organization/secrets")
    assert [each["secretName"] for each in listed.json()["secrets"]] == ["HOOK"]
    shown = await client.get("/v1/organization/secrets/HOOK")
    assert shown.json()["secret"]["secretName"] == "HOOK"
    assert "hush-value" not in listed.text + shown.text


async def test_integration_is_created_changed_and_deleted(client: httpx.AsyncClient) -> None:
    created = await client.post("/v1/integration", json={"installationId": "mine", "installationAppType": "jira"})
    assert created.status_code == 201
    changed = (await client.patch("/v1/integration/mine", json={"config": {"resources": []}})).json()["integration"]
    assert (changed["installationAppType"], changed["config"]) == ("jira", {"resources": []})
    assert (await client.get("/v1/integration/mine")).json()["integration"] == changed
    assert (await client.delete("/v1/integration/mine")).status_code == 200
    assert (await rejection(client.delete("/v1/integration/mine")))[0] == 404


async def test_secret_is_created_changed_and_deleted_without_showing_its_value(client: httpx.AsyncClient) -> None:
    path = "/v1/organization/secrets"
    body = {"secretName": "API-KEY_2", "secretValue": "hush-new", "description": "of the CI"}
    created = await client.post(path, json=body)
    assert (created.status_code, created.json()["secret"]) == (
        201,
        {"secretName": "API-KEY_2", "secretDescription": "of the CI"},
    )
    assert (await rejection(client.post(path, json=body)))[:2] == (409, "identifier_taken")
    changed = await client.patch(f"{path}/API-KEY_2", json={"secretValue": "hush-newer", "description": "of the tests"})
    assert changed.json()["secret"]["secretDescription"] == "of the tests"
    assert "hush-new" not in created.text + changed.text + (await client.get(path)).text
    assert (await client.delete(f"{path}/API-KEY_2")).status_code == 200
    assert (await rejection(client.patch(f"{path}/API-KEY_2", json={})))[0] == 404


async def test_invalid_secret_is_rejected(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, str]] = [
        ({"secretName": "A"}, "body must have required property 'secretValue'"),
        ({"secretName": "A B", "secretValue": "x"}, "body/secretName must be"),
        ({"secretName": "A" * 51, "secretValue": "x"}, "body/secretName must be"),
        ({"secretName": "A", "secretValue": "x", "description": "d" * 201}, "body/description must be"),
        ({"secretName": "A", "secretValue": "x", "value": 1}, "found 'value'"),
    ]
    for body, fault in cases:
        await require_invalid(client.post("/v1/organization/secrets", json=body), fault)


async def test_workflow_sees_a_secret_created_through_the_api(renderer: Renderer, webhook: Handler) -> None:
    document = one_node(type="WEBHOOK", url=webhook.url, body={"key": "{{ .secrets.LATER }}"})
    async with running(renderer, document) as (sandbox, client):
        await client.post("/v1/organization/secrets", json={"secretName": "LATER", "secretValue": "hush"})
        await ended(sandbox, await started(client))
    assert json.loads(webhook.requests[0].body) == {"key": "hush"}


async def test_team_is_created_once_with_known_and_unknown_users(client: httpx.AsyncClient) -> None:
    body = {"name": "data", "users": ["you@example.com", "new@example.com"], "description": "Data"}
    created = await client.post("/v1/teams", json=body)
    assert created.status_code == 200
    team = created.json()["team"]
    assert [user["email"] for user in team["users"]] == body["users"]
    assert team["users"][0]["firstName"] == "Sandbox"
    assert (await client.get("/v1/teams/data")).json()["team"] == team
    assert [each["name"] for each in (await client.get("/v1/teams")).json()["teams"]] == ["platform", "data"]
    for taken in ("data", "platform"):
        assert (await rejection(client.post("/v1/teams", json={"name": taken})))[:2] == (409, "identifier_taken")
    assert (await rejection(client.post("/v1/teams", json={"name": "a;b"})))[0] == 422


async def test_credentials_may_run_every_self_service_action_but_not_automations(client: httpx.AsyncClient) -> None:
    automation = {
        **create_vm_action(),
        "identifier": "on_change",
        "trigger": {"type": "automation", "event": {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": "vm"}},
    }
    assert (await client.post("/v1/actions", json=automation)).status_code == 201
    response = await client.get("/v1/auth/permissions", params={"action_version": "v2"})
    assert response.json() == {"ok": True, "permissions": ["execute:actions:create_vm"]}


async def test_permissions_patch_does_not_change_other_fields(client: httpx.AsyncClient) -> None:
    path = "/v1/actions/create_vm/permissions"
    shown = (await client.get(path)).json()["permissions"]
    assert shown["execute"] == {"users": [], "roles": [], "teams": [], "policy": None, "ownedByTeam": False}
    policy = {"queries": {"mine": {"combinator": "and", "rules": []}}, "conditions": ["true"]}
    await client.patch(path, json={"execute": {"roles": ["Member"]}})
    changed = await client.patch(path, json={"execute": {"policy": policy}, "approve": {"users": ["you@example.com"]}})
    permissions = changed.json()["permissions"]
    assert (permissions["execute"]["roles"], permissions["execute"]["policy"]) == (["Member"], policy)
    assert permissions["approve"]["users"] == ["you@example.com"]
    assert (await client.get(path)).json()["permissions"] == permissions


async def test_invalid_permissions_are_rejected(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, str]] = [
        ({"execute": {"roles": "Admin"}}, "body/execute/roles must be array of strings"),
        ({"approve": {"ownedByTeam": True}}, "found 'ownedByTeam'"),
        ({"execute": {"policy": {"queries": {}}}}, "body/execute/policy must be null"),
        ({"run": {}}, "found 'run'"),
    ]
    for body, fault in cases:
        await require_invalid(client.patch("/v1/actions/create_vm/permissions", json=body), fault)


async def test_permissions_are_deleted_with_their_action(client: httpx.AsyncClient) -> None:
    path = "/v1/actions/create_vm/permissions"
    await client.patch(path, json={"execute": {"roles": ["Member"]}})
    await client.delete("/v1/actions/create_vm")
    assert (await rejection(client.get(path)))[:2] == (404, "not_found")
    await client.post("/v1/actions", json=create_vm_action())
    assert (await client.get(path)).json()["permissions"]["execute"]["roles"] == []


async def test_secret_created_by_a_client_is_masked_in_shown_calls() -> None:
    events: list[ApiEvent] = []
    async with sandbox_with(on_event=events.append) as sandbox, a_client(sandbox) as client:
        await client.get("/v1/users/another-secret")
        for value in ("a-secret-value", "another-secret"):
            await client.post("/v1/organization/secrets", json={"secretName": value[:5], "secretValue": value})
            await client.get(f"/v1/users/{value}")
    shown = [(event.path, event.note) for event in events if event.path.startswith("/v1/users/")]
    assert shown[0][0] == "/v1/users/another-secret"
    assert shown[1:] == [("/v1/users/***", 'not_found: User with email "***" was not found')] * 2


async def test_permissions_follow_a_renamed_action(client: httpx.AsyncClient) -> None:
    await client.patch("/v1/actions/create_vm/permissions", json={"execute": {"roles": ["Member"]}})
    body = {key: create_vm_action()[key] for key in ("trigger", "invocationMethod")}
    assert (await client.put("/v1/actions/create_vm", json={**body, "identifier": "other"})).status_code == 200
    assert (await client.get("/v1/actions/other/permissions")).json()["permissions"]["execute"]["roles"] == ["Member"]
    await client.post("/v1/actions", json=create_vm_action())
    assert (await client.get("/v1/actions/create_vm/permissions")).json()["permissions"]["execute"]["roles"] == []


async def test_scorecards_follow_a_blueprint_and_are_deleted_with_it(client: httpx.AsyncClient) -> None:
    blueprint = {"identifier": "vm", "schema": {}}
    await client.post("/v1/blueprints", json=blueprint)
    card = {"identifier": "s", "title": "S", "rules": []}
    assert (await client.post("/v1/blueprints/vm/scorecards", json=card)).status_code == 201
    assert (await client.patch("/v1/blueprints/vm", json={"identifier": "host"})).status_code == 200
    assert (await client.get("/v1/blueprints/host/scorecards/s")).json()["scorecard"]["blueprint"] == "host"
    await client.delete("/v1/blueprints/host")
    assert (await client.get("/v1/scorecards")).json()["scorecards"] == []


async def test_prompt_gets_501_because_the_sandbox_has_no_ai(client: httpx.AsyncClient) -> None:
    cases: list[tuple[str, str]] = [
        ("POST", "/v1/agent/invoke"),
        ("POST", "/v1/agent/helper/invoke"),
        ("GET", "/v1/agent/invoke/inv_1"),
        ("POST", "/v1/ai/invoke"),
        ("GET", "/v1/ai/invoke/inv_1"),
    ]
    for method, path in cases:
        status, slug, message = await rejection(
            client.request(method, path, json={"prompt": "Which services are mine?"})
        )
        assert (status, slug) == (501, "not_implemented")
        assert "no AI" in message


async def test_scorecard_is_created_replaced_and_deleted(client: httpx.AsyncClient) -> None:
    path = "/v1/blueprints/vm/scorecards"
    card = {"identifier": "ready", "title": "Ready", "rules": []}
    assert (await rejection(client.post(path, json=card)))[0] == 404
    await client.post("/v1/blueprints", json={"identifier": "vm", "schema": {}})
    assert (await client.get("/v1/scorecards")).json()["scorecards"] == []
    created = await client.post(path, json=card)
    assert (created.status_code, created.json()["scorecard"]["blueprint"]) == (201, "vm")
    assert (await rejection(client.post(path, json=card)))[:2] == (409, "identifier_taken")
    replaced = (await client.put(f"{path}/ready", json={**card, "title": "Set"})).json()["scorecard"]
    assert (replaced["title"], replaced["id"]) == ("Set", created.json()["scorecard"]["id"])
    for listed in (path, "/v1/scorecards"):
        assert (await client.get(listed)).json()["scorecards"] == [replaced]
    assert (await client.get(f"{path}/ready")).json()["scorecard"] == replaced
    assert (await client.delete(f"{path}/ready")).status_code == 200
    assert (await rejection(client.get(f"{path}/ready")))[0] == 404


async def test_page_is_created_and_deleted(client: httpx.AsyncClient) -> None:
    page = {"identifier": "home", "title": "Home", "type": "dashboard"}
    created = await client.post("/v1/pages", json=page)
    assert (created.status_code, created.json()["page"]["type"]) == (201, "dashboard")
    assert (await rejection(client.post("/v1/pages", json=page)))[:2] == (409, "identifier_taken")
    assert (await client.get("/v1/pages/home")).json()["page"] == created.json()["page"]
    assert (await client.delete("/v1/pages/home")).status_code == 200
    assert (await rejection(client.delete("/v1/pages/home")))[0] == 404


async def test_state_file_contains_teams_and_permissions_but_not_secrets(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        await client.post("/v1/teams", json={"name": "data"})
        await client.patch("/v1/actions/create_vm/permissions", json={"execute": {"roles": ["Member"]}})
        await client.post("/v1/organization/secrets", json={"secretName": "KEY", "secretValue": "hush-hush"})
    assert b"hush-hush" not in saved_state(tmp_path)
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        assert (await client.get("/v1/teams/data")).status_code == 200
        permissions = (await client.get("/v1/actions/create_vm/permissions")).json()["permissions"]
        assert permissions["execute"]["roles"] == ["Member"]
        assert (await client.get("/v1/organization/secrets")).json()["secrets"] == []
        await sandbox.reset()
        assert (await client.get("/v1/teams/data")).status_code == 404


async def test_kafka_credentials_contain_the_given_brokers() -> None:
    async with sandbox_with(kafka_brokers=["127.0.0.1:9092"]) as sandbox, a_client(sandbox) as client:
        organization = (await client.get("/v1/organization")).json()["organization"]
        credentials = (await client.get("/v1/kafka-credentials")).json()["credentials"]
        assert credentials == {
            "brokers": ["127.0.0.1:9092"],
            "username": organization["id"],
            "password": sandbox.client_secret.reveal(),
        }
