"""The calls of an integration of Port's Ocean framework in version 0.56.2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.factories import NOW
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with

MINE = "port-ocean/jira/1.0.0/mine/exporter"
SEARCH = "/v1/blueprints/entities/datasource-entities"
WANTED = {"datasource_prefix": "port-ocean/jira/", "datasource_suffix": "/mine/exporter", "limit": 100}


@pytest.fixture
async def clock() -> list[float]:
    return [NOW]


@pytest.fixture
async def client(clock: list[float]) -> AsyncIterator[httpx.AsyncClient]:
    async with sandbox_with(now=lambda: clock[0]) as sandbox, a_client(sandbox) as client:
        await client.post("/v1/integration", json={"installationId": "mine", "installationAppType": "jira"})
        yield client


async def save(client: httpx.AsyncClient, identifier: str, agent: str = MINE, blueprint: str = "issue") -> None:
    path = f"/v1/blueprints/{blueprint}/entities"
    saved = await client.post(path, json={"identifier": identifier}, headers={"user-agent": agent})
    assert saved.status_code == 201


async def test_integration_finds_its_own_entities(client: httpx.AsyncClient) -> None:
    await save(client, "a")
    await save(client, "b", "port-ocean/jira/1.0.0/other/exporter")
    await save(client, "c", blueprint="project")
    await save(client, "d", "curl/8")
    found = (await client.post(SEARCH, json=WANTED)).json()
    assert found["entities"] == [{"identifier": "a", "blueprint": "issue"}, {"identifier": "c", "blueprint": "project"}]
    assert "next" not in found
    rule = {"property": "$datasource", "operator": "contains", "value": "/other/exporter"}
    query = {"combinator": "and", "rules": [rule]}
    others = (await client.post("/v1/entities/search", json=query)).json()["entities"]
    assert [(each["identifier"], "datasource" in each) for each in others] == [("b", False)]


async def test_entities_of_a_datasource_are_paged_and_selected_by_the_time_of_their_last_change(
    client: httpx.AsyncClient, clock: list[float]
) -> None:
    for name in "abc":
        await save(client, name)
    first = (await client.post(SEARCH, json={**WANTED, "limit": 2})).json()
    assert [each["identifier"] for each in first["entities"]] == ["a", "b"]
    rest = (await client.post(SEARCH, json={**WANTED, "limit": 2, "from": first["next"]})).json()
    assert [each["identifier"] for each in rest["entities"]] == ["c"]
    clock[0] += 60
    await client.patch("/v1/blueprints/issue/entities/b", json={"title": "B"}, headers={"user-agent": MINE})
    before = "2023-11-14T22:13:50+00:00"  # half a minute after NOW
    old = (await client.post(SEARCH, json={**WANTED, "before": before})).json()["entities"]
    assert [each["identifier"] for each in old] == ["a", "c"]
    assert (await rejection(client.post(SEARCH, json={**WANTED, "before": "yesterday"})))[0] == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/blueprints/issue/bulk/entities/delete"), ("DELETE", "/v1/blueprints/issue/bulk/entities")],
)
async def test_several_entities_are_deleted_at_a_time(client: httpx.AsyncClient, method: str, path: str) -> None:
    for name in "abc":
        await save(client, name)
    deleted = await client.request(method, path, json={"entities": ["a", "unknown", "c"]})
    assert (deleted.status_code, deleted.json()["deletedEntities"]) == (200, ["a", "c"])
    rest = (await client.get("/v1/blueprints/issue/entities")).json()["entities"]
    assert [each["identifier"] for each in rest] == ["b"]
    assert (await rejection(client.request(method, path, json={"entities": []})))[0] == 422


async def test_all_entities_of_a_blueprint_are_deleted_with_it_in_a_migration(client: httpx.AsyncClient) -> None:
    await client.post("/v1/blueprints", json={"identifier": "issue", "schema": {}})
    await save(client, "a")
    deleted = await client.delete("/v1/blueprints/issue/all-entities", params={"delete_blueprint": "true"})
    migration = (await client.get(f"/v1/migrations/{deleted.json()['migrationId']}")).json()["migration"]
    assert (migration["status"], migration["sourceBlueprint"]) == ("COMPLETED", "issue")
    assert (await rejection(client.get("/v1/blueprints/issue")))[0] == 404
    assert (await rejection(client.get("/v1/migrations/other")))[0] == 404


async def test_integration_saves_its_mapping_its_state_and_its_cursors(client: httpx.AsyncClient) -> None:
    mapping = {"resources": [{"kind": "issue"}]}
    changed = await client.patch("/v1/integration/mine/config", json={"config": mapping})
    assert changed.json()["integration"]["config"] == mapping
    await client.patch("/v1/integration/mine/resync-state", json={"status": "running"})
    state = await client.patch("/v1/integration/mine/resync-state", json={"lastResyncEnd": "now"})
    assert state.json()["integration"]["resyncState"] == {"status": "running", "lastResyncEnd": "now"}
    place: dict[str, Any] = {"params": {"kind": "issue", "index": 0}}
    cursor = {"primary": "2026-01-01T00:00:00+00:00"}
    path = "/v1/integration/mine/cursor"
    assert (await client.get(path, **place)).json()["cursor"] is None
    assert (await rejection(client.put(path, json=cursor, **place)))[0] == 404
    assert (await client.post(path, json=cursor, **place)).json()["cursor"] == cursor
    assert (await client.put(path, json={"primary": "later"}, **place)).status_code == 200
    assert (await client.get(path, **place)).json()["cursor"] == {"primary": "later"}
    assert (await client.get("/v1/integration/provision-enabled")).json()["integrations"] == []
    assert (await client.get("/v1/integration/mine/resync-request")).json()["request"] is None
    await client.delete("/v1/integration/mine")
    assert (await rejection(client.get(path, **place)))[0] == 404


async def test_logs_metrics_and_examples_are_accepted_at_the_urls_of_the_integration(client: httpx.AsyncClient) -> None:
    integration = (await client.get("/v1/integration/mine")).json()["integration"]
    logs, metrics, raw = (
        urlsplit(integration[name]["ingestUrl"]).path
        for name in ("logAttributes", "metricAttributes", "ingestAttributes")
    )
    lake = f"{raw}/lake/write/integration-type/jira/integration/mine/sync/s1/kind/issue"
    for method, path in [
        ("POST", logs),
        ("POST", f"{metrics}/syncMetrics"),
        ("POST", f"{metrics}/heartbeat"),
        ("PUT", f"{metrics}/syncMetrics/resync/e1/kind/issue-0"),
        ("POST", lake),
        ("POST", "/v1/integration/mine/kinds/issue/examples"),
        ("PATCH", "/v1/org/org_1/integration/probe/p1"),
    ]:
        assert (path, (await client.request(method, path, json={})).status_code) == (path, 200)
    assert (await rejection(client.post("/v1/sandbox/ingest/other", json={})))[0] == 404


async def test_integration_is_rejected_when_its_resync_state_is_not_an_object(client: httpx.AsyncClient) -> None:
    body = {"installationId": "mine", "resyncState": ["running"]}
    assert (await rejection(client.post("/v1/integration", json=body)))[2] == "body/resyncState must be object"
