"""Users, teams, secrets, integrations, scorecards and Kafka's credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from port_hook_cli.sandbox import Sandbox
from tests.sandbox_clients import a_client, refusal


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with Sandbox.start(secrets={"HOOK": "hush-value"}) as sandbox, a_client(sandbox) as client:
        yield client


async def test_users_and_teams_are_found_by_name(client: httpx.AsyncClient) -> None:
    users = (await client.get("/v1/users")).json()["users"]
    assert [user["email"] for user in users] == ["you@example.com", "member@example.com"]
    assert (await client.get("/v1/users/you@example.com")).json()["user"] == users[0]
    (team,) = (await client.get("/v1/teams")).json()["teams"]
    assert (await client.get("/v1/teams/platform")).json()["team"] == team
    assert [user["email"] for user in team["users"]] == ["you@example.com", "member@example.com"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users/nobody@example.com",
        "/v1/teams/other",
        "/v1/organization/secrets/OTHER",
        "/v1/integration/other",
        "/v1/blueprints/other/scorecards",
        "/v1/kafka-credentials",
    ],
)
async def test_unknown_name_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await refusal(client.get(path)))[:2] == (404, "not_found")


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
    assert (await refusal(client.delete("/v1/integration/mine")))[0] == 404


async def test_there_are_no_scorecards(client: httpx.AsyncClient) -> None:
    await client.post("/v1/blueprints", json={"identifier": "vm", "schema": {}})
    for path in ("/v1/scorecards", "/v1/blueprints/vm/scorecards"):
        assert (await client.get(path)).json()["scorecards"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/actions",
        "/v1/actions/runs",
        "/v1/blueprints",
        "/v1/organization/secrets",
        "/v1/scorecards",
        "/v1/teams",
        "/v1/teams/platform",
        "/v1/users",
        "/v1/workflows",
        "/v1/workflows/runs",
    ],
)
async def test_successful_response_says_ok(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    assert response.json()["ok"] is True


async def test_search_says_ok(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/entities/search", json={"combinator": "and", "rules": []})
    assert response.json()["ok"] is True


async def test_kafka_credentials_name_the_given_brokers() -> None:
    async with Sandbox.start(kafka_brokers=["127.0.0.1:9092"]) as sandbox, a_client(sandbox) as client:
        organization = (await client.get("/v1/organization")).json()["organization"]
        credentials = (await client.get("/v1/kafka-credentials")).json()["credentials"]
        assert credentials == {
            "brokers": ["127.0.0.1:9092"],
            "username": organization["id"],
            "password": sandbox.client_secret.reveal(),
        }
