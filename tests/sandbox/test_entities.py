from __future__ import annotations

from typing import Any

import httpx

from port_hook_cli.sandbox import ApiRules, Sandbox
from tests.factories import RUN_ID
from tests.sandbox_clients import a_client, rejection, require_invalid

ENTITIES = "/v1/blueprints/vm/entities"
DEV = {"identifier": "dev", "title": "Dev", "properties": {"cpu": 2, "os": "x"}, "relations": {"team": "a"}}


async def get(client: httpx.AsyncClient, name: str = "dev") -> Any:
    return (await client.get(f"{ENTITIES}/{name}")).json()["entity"]


async def test_entity_is_created_changed_replaced_and_deleted(client: httpx.AsyncClient) -> None:
    created = await client.post(ENTITIES, json=DEV)
    assert (created.status_code, created.json()["entity"]) == (201, DEV)
    changed = await client.patch(f"{ENTITIES}/dev", json={"properties": {"cpu": 4}, "title": None})
    assert changed.json()["entity"] == {
        "identifier": "dev", "properties": {"cpu": 4, "os": "x"}, "relations": {"team": "a"},
    }  # fmt: skip
    await client.put(f"{ENTITIES}/dev", json={"identifier": "dev", "properties": {"cpu": 8}})
    assert await get(client) == {"identifier": "dev", "properties": {"cpu": 8}, "relations": {}}
    assert (await client.delete(f"{ENTITIES}/dev")).json() == {"ok": True}
    assert (await rejection(client.get(f"{ENTITIES}/dev")))[0] == 404


async def test_existing_entity_is_overwritten_only_with_upsert(client: httpx.AsyncClient) -> None:
    await client.post(ENTITIES, json=DEV)
    again = {"identifier": "dev", "properties": {"cpu": 4}}
    assert (await rejection(client.post(ENTITIES, json=again)))[:2] == (409, "identifier_taken")
    assert (await client.post(f"{ENTITIES}?upsert=true&validation_only=true", json=again)).status_code == 201
    assert await get(client) == DEV
    await client.post(f"{ENTITIES}?upsert=true&merge=true", json=again)
    assert (await get(client))["properties"] == {"cpu": 4, "os": "x"}
    await client.post(f"{ENTITIES}?upsert=true", json=again)
    assert (await get(client)) == {**again, "relations": {}}


async def test_same_work_can_be_done_again_with_the_rule_any_entity() -> None:
    async with Sandbox.start(rules=ApiRules(any_entity=True)) as sandbox, a_client(sandbox) as client:
        for _ in range(2):
            assert (await client.post(ENTITIES, json=DEV)).status_code == 201
        assert (await client.patch(f"{ENTITIES}/new", json={"properties": {"cpu": 4}})).status_code == 200
        assert await get(client, "new") == {"identifier": "new", "properties": {"cpu": 4}, "relations": {}}
        for _ in range(2):
            assert (await client.delete(f"{ENTITIES}/new")).status_code == 200
        assert (await rejection(client.get(f"{ENTITIES}/new")))[0] == 404


async def test_entity_can_be_renamed_only_to_a_free_identifier(client: httpx.AsyncClient) -> None:
    await client.post(ENTITIES, json=DEV)
    await client.post(ENTITIES, json={"identifier": "a/b=é"})
    assert (await rejection(client.patch(f"{ENTITIES}/dev", json={"identifier": "a/b=é"})))[0] == 409
    assert (await client.patch(f"{ENTITIES}/dev", json={"identifier": "new"})).status_code == 200
    assert (await get(client, "a%2Fb=%C3%A9"))["identifier"] == "a/b=é"
    assert (await rejection(client.get(f"{ENTITIES}/dev")))[0] == 404


async def test_get_shows_the_fields_selected_by_include_and_exclude(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, Any]] = [
        ({"include": "identifier"}, {"identifier": "dev", "properties": {}, "relations": {}}),
        (
            {"include": ["identifier", "properties.cpu"]},
            {"identifier": "dev", "properties": {"cpu": 2}, "relations": {}},
        ),
        ({"include": "properties"}, {"properties": {"cpu": 2, "os": "x"}, "relations": {}}),
        (
            {"exclude": "properties.os"},
            {"identifier": "dev", "title": "Dev", "properties": {"cpu": 2}, "relations": {"team": "a"}},
        ),
        ({"exclude": "relations.team,title"}, {"identifier": "dev", "properties": DEV["properties"], "relations": {}}),
    ]
    for query, expected in cases:
        await client.post(ENTITIES, json=DEV)
        assert (await client.get(f"{ENTITIES}/dev", params=query)).json()["entity"] == expected


async def test_entity_without_an_identifier_gets_a_new_identifier(client: httpx.AsyncClient) -> None:
    name = (await client.post(ENTITIES, json={})).json()["entity"]["identifier"]
    assert await get(client, name)
    assert (await rejection(client.get(f"/v1/blueprints/service/entities/{name}")))[0] == 404


async def test_change_is_linked_to_its_run_only_while_the_run_is_in_progress(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    tied = f"run_id={RUN_ID}"
    assert (await client.post(f"{ENTITIES}?upsert=true&{tied}", json=DEV)).status_code == 201
    assert (await client.patch(f"{ENTITIES}/dev?{tied}", json={"title": "D"})).status_code == 200
    assert sandbox.runs[RUN_ID].entities == ["created vm/dev", "changed vm/dev"]
    await client.patch(f"/v1/actions/runs/{RUN_ID}", json={"status": "SUCCESS"})
    for method, path in (("POST", ENTITIES), ("PUT", f"{ENTITIES}/dev"), ("PATCH", f"{ENTITIES}/dev")):
        late = client.request(method, f"{path}?upsert=true&{tied}", json={"title": "late"})
        assert (await rejection(late))[:2] == (422, "run_exhausted")
    assert (await rejection(client.delete(f"{ENTITIES}/dev?{tied}")))[0] == 422
    assert (await get(client))["title"] == "D"
    assert (await rejection(client.post(f"{ENTITIES}?run_id=r_short", json={})))[0] == 404


async def test_error_contains_the_invalid_field(client: httpx.AsyncClient) -> None:
    cases: list[tuple[str, Any, str]] = [
        ("POST", {"identifier": "a b"}, "body/identifier"),
        ("POST", {"identifier": ".."}, "body/identifier"),
        ("POST", {"identifier": "x" * 1001}, "body/identifier"),
        ("POST", {"identifier": {"combinator": "and", "rules": []}}, "search queries"),
        ("POST", {"title": None}, "body/title"),
        ("POST", {"properties": []}, "body/properties"),
        ("POST", {"relations": {"a": 1}}, "body/relations"),
        ("POST", {"relations": {"a": ["b c"]}}, "body/relations"),
        ("POST", {"team": 1}, "body/team"),
        ("PATCH", {"color": "red"}, "'color'"),
        ("PATCH", {"icon": 1}, "body/icon"),
    ]
    for method, body, expected in cases:
        await client.post(ENTITIES, json=DEV)
        path = ENTITIES if method == "POST" else f"{ENTITIES}/dev"
        await require_invalid(client.request(method, path, json=body), expected)


async def test_query_switch_accepts_only_true_and_false(client: httpx.AsyncClient) -> None:
    for query in ("upsert=1", "merge=yes", "validation_only="):
        assert (await rejection(client.post(f"{ENTITIES}?{query}", json=DEV)))[0] == 422


async def test_unknown_entity_is_not_found(client: httpx.AsyncClient) -> None:
    for method in ("PUT", "PATCH", "DELETE", "GET"):
        assert (await rejection(client.request(method, f"{ENTITIES}/nobody", content=b"{}")))[:2] == (404, "not_found")
