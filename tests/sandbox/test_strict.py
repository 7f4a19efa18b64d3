"""Like Port, a strict sandbox rejects entities that do not match their blueprint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.sandbox import Sandbox
from tests.factories import RUN_ID
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with

TEAM = {"identifier": "squad", "schema": {"properties": {}}}
VM: dict[str, Any] = {
    "identifier": "vm",
    "schema": {"properties": {"cpu": {"type": "number"}, "os": {"type": "string"}}},
    "relations": {
        "owner": {"target": "squad", "many": False, "required": False},
        "peers": {"target": "vm", "many": True, "required": False},
        "by": {"target": "_user", "many": False, "required": False},
    },
}
ENTITIES = "/v1/blueprints/vm/entities"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(strict=True, blueprints=[TEAM, VM], runs=[RUN_ID]) as running:
        yield running


UNKNOWN: list[tuple[str, Any, Any]] = [
    ("/v1/blueprints/other/entities", {}, (404, "not_found", 'Blueprint with identifier "other" was not found')),
    (
        ENTITIES,
        {"properties": {"cpu": 1, "ram": 2}},
        (422, "invalid_request", "body/properties must NOT have additional properties, found 'ram'"),
    ),
    (
        ENTITIES,
        {"relations": {"host": "a"}},
        (422, "invalid_request", "body/relations must NOT have additional properties, found 'host'"),
    ),
    (
        ENTITIES,
        {"relations": {"owner": "nobody"}},
        (404, "not_found", 'Entity with identifier "nobody" was not found in "squad"'),
    ),
    (
        ENTITIES,
        {"relations": {"peers": ["dev", "gone"]}},
        (404, "not_found", 'Entity with identifier "gone" was not found in "vm"'),
    ),
]


async def test_strict_sandbox_rejects_an_entity_when_it_does_not_match_its_blueprint(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for path, entity, expected in UNKNOWN:
        query = {"upsert": "true", "run_id": RUN_ID}
        assert await rejection(client.post(path, json={"identifier": "dev", **entity}, params=query)) == expected
    assert sandbox.entities == {}
    assert sandbox.runs[RUN_ID].entities == []
    async with sandbox_with(blueprints=[TEAM, VM]) as lenient, a_client(lenient) as other:
        for number, (path, entity, _) in enumerate(UNKNOWN):
            assert (await other.post(path, json={"identifier": f"dev-{number}", **entity})).status_code == 201


async def test_strict_sandbox_rejects_a_change_when_it_does_not_match_the_blueprint(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    await client.post(ENTITIES, json={"identifier": "dev", "properties": {"cpu": 1}})
    for _, entity, expected in UNKNOWN[1:]:
        for method in ("PATCH", "PUT"):
            assert await rejection(client.request(method, f"{ENTITIES}/dev", json=entity)) == expected
    assert sandbox.entities["vm", "dev"]["properties"] == {"cpu": 1}


async def test_related_entity_of_an_unknown_blueprint_is_rejected_with_the_blueprint() -> None:
    for creates in ("true", "false"):
        async with sandbox_with(strict=True, blueprints=[VM]) as running, a_client(running) as client:
            query = {"create_missing_related_entities": creates}
            entity = {"identifier": "dev", "relations": {"owner": "x"}}
            expected = (404, "not_found", 'Blueprint with identifier "squad" was not found')
            assert await rejection(client.post(ENTITIES, json=entity, params=query)) == expected
            assert running.entities == {}


async def test_entity_is_accepted_when_it_matches_its_blueprint(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await client.post("/v1/blueprints/squad/entities", json={"identifier": "a"})
    relations = {"owner": "a", "peers": ["dev"], "by": "you@example.com"}  # "dev" is the entity itself
    created = await client.post(ENTITIES, json={"identifier": "dev", "properties": {"os": "x"}, "relations": relations})
    assert created.status_code == 201
    cleared = await client.patch(f"{ENTITIES}/dev", json={"relations": {"owner": None}, "properties": {"os": None}})
    assert (cleared.status_code, sandbox.entities["vm", "dev"]["relations"]["owner"]) == (200, None)


async def test_missing_related_entities_are_created_on_request(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    entity = {"identifier": "dev", "relations": {"owner": "new", "peers": ["b", "c"]}}
    query = {"create_missing_related_entities": "true"}
    checked = client.post(ENTITIES, json=entity, params={**query, "validation_only": "true"})
    assert (await rejection(checked))[0] == 404
    assert (await client.post(ENTITIES, json=entity, params=query)).status_code == 201
    assert set(sandbox.entities) == {("squad", "new"), ("vm", "b"), ("vm", "c"), ("vm", "dev")}
    assert sandbox.entities["squad", "new"] == {"identifier": "new", "properties": {}, "relations": {}}


async def test_bulk_lists_entities_with_a_mismatch_to_their_blueprint(client: httpx.AsyncClient) -> None:
    several = [{"identifier": "a", "properties": {"cpu": 1}}, {"identifier": "b", "properties": {"ram": 1}}]
    response = await client.post(f"{ENTITIES}/bulk", json={"entities": several})
    assert response.status_code == 207
    (error,) = response.json()["errors"]
    assert (error["identifier"], error["statusCode"]) == ("b", 422)


async def test_changed_blueprint_takes_effect_immediately(client: httpx.AsyncClient) -> None:
    entity = {"identifier": "dev", "properties": {"ram": 4}}
    assert (await rejection(client.post(ENTITIES, json=entity)))[0] == 422
    schema = {"properties": {**VM["schema"]["properties"], "ram": {"type": "number"}}}
    await client.patch("/v1/blueprints/vm", json={"schema": schema})
    assert (await client.post(ENTITIES, json=entity)).status_code == 201


async def test_upsert_entity_node_fails_when_its_entity_is_invalid(sandbox: Sandbox) -> None:
    for part, value, message in (
        ("properties", ["a"], "The node's `mapping.properties` must render to an object."),
        ("relations", ["a"], "The node's `mapping.relations` must render to an object."),
        ("properties", {"ram": 1}, "body/properties must NOT have additional properties, found 'ram'"),
    ):
        outcome = sandbox.upsert_entity({"blueprintIdentifier": "vm", "mapping": {"identifier": "dev", part: value}})
        assert message in outcome.output["error"]["message"]


def test_upsert_entity_node_gets_an_identifier_when_its_mapping_has_none(sandbox: Sandbox) -> None:
    outcome = sandbox.upsert_entity({"blueprintIdentifier": "vm", "mapping": {"properties": {"cpu": 1}}})
    assert (outcome.result, outcome.remarks) == ("SUCCESS", ())
    assert ("vm", outcome.output["response"]["data"]["identifier"]) in sandbox.entities


async def test_reset_restores_the_blueprints_of_the_start(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await client.delete("/v1/blueprints/squad")
    sandbox.add_blueprint({"identifier": "more", "schema": {}})
    await sandbox.reset()
    assert list(sandbox.blueprints) == ["squad", "vm"]


async def test_entity_added_by_a_program_is_checked(sandbox: Sandbox) -> None:
    sandbox.add_entity("vm", {"identifier": "dev", "properties": {"cpu": 1}})
    assert sandbox.entities["vm", "dev"]["relations"] == {}
    for faulty in ({"identifier": "b", "properties": {"ram": 1}}, {"title": "b"}, {"identifier": "a b"}):
        with pytest.raises(UsageError, match="does not accept this entity"):
            sandbox.add_entity("vm", faulty)
