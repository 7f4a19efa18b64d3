"""Searches, and bulk creation of entities."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.sandbox import Sandbox
from port_hook_cli.sandbox.entity_query import OPERATORS, BadQuery, check_query, matches
from tests.json_values import json_values
from tests.sandbox_clients import a_client, rejection, require_invalid

VMS = "/v1/blueprints/vm/entities"
ENTITIES: list[dict[str, Any]] = [
    {"identifier": "a", "title": "Alpha", "team": ["x"], "properties": {"cpu": 1, "tags": ["p", "q"], "on": True}},
    {"identifier": "b", "title": "Beta", "properties": {"cpu": 4, "tags": [], "on": False, "at": "2026-01-02"}},
    {"identifier": "c", "properties": {"cpu": 8}, "relations": {"host": "a", "disks": ["ssd", "hdd"]}},
]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with Sandbox.start() as sandbox, a_client(sandbox) as client:
        created = await client.post(f"{VMS}/bulk", json={"entities": ENTITIES})
        assert created.status_code == 200
        await client.post("/v1/blueprints/disk/entities", json={"identifier": "ssd", "properties": {"cpu": 0}})
        yield client


def rule(name: str, operator: str, *value: Any) -> dict[str, Any]:
    return {"property": name, "operator": operator, **({"value": value[0]} if value else {})}


async def test_search_finds_matching_entities(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, str]] = [
        (rule("$blueprint", "=", "vm"), "a b c"),
        (rule("$identifier", "=", "a"), "a"),
        (rule("$identifier", "!=", "a"), "b c ssd"),
        (rule("$identifier", "in", ["a", "ssd"]), "a ssd"),
        (rule("$identifier", "notIn", ["a", "ssd"]), "b c"),
        (rule("$title", "contains", "et"), "b"),
        (rule("$title", "doesNotContains", "et"), "a c ssd"),
        (rule("$title", "beginsWith", "Al"), "a"),
        (rule("$title", "doesNotBeginsWith", "Al"), "b c ssd"),
        (rule("$title", "endsWith", "ta"), "b"),
        (rule("$title", "doesNotEndsWith", "ta"), "a c ssd"),
        (rule("$team", "contains", "x"), "a"),
        (rule("$title", "isEmpty"), "c ssd"),
        (rule("tags", "isNotEmpty"), "a"),
        (rule("tags", "contains", "q"), "a"),
        (rule("tags", "containsAny", ["z", "p"]), "a"),
        (rule("cpu", ">", 4), "c"),
        (rule("cpu", ">=", 4), "b c"),
        (rule("cpu", "<", 1), "ssd"),
        (rule("cpu", "<=", 1), "a ssd"),
        (rule("cpu", "<", "9"), ""),
        (rule("cpu", "between", {"from": 1, "to": 4}), "a b"),
        (rule("cpu", "notBetween", {"from": 1, "to": 4}), "c ssd"),
        (rule("at", "between", {"from": "2026-01-01", "to": "2026-01-31"}), "b"),
        (rule("on", "=", True), "a"),
        (rule("cpu", "=", True), ""),
        (rule("host", "=", "a"), "c"),
        ({"operator": "relatedTo", "blueprint": "vm", "value": "a"}, "c"),
        ({"operator": "relatedTo", "blueprint": "vm", "value": ["c"]}, "a ssd"),
        ({"operator": "relatedTo", "blueprint": "disk", "value": ["ssd", "other"]}, "c"),
        ({"combinator": "or", "rules": [rule("cpu", "=", 0), rule("cpu", "=", 8)]}, "c ssd"),
        ({"combinator": "and", "rules": []}, "a b c ssd"),
        ({"combinator": "or", "rules": []}, ""),
    ]
    for query, found in cases:
        response = await client.post("/v1/entities/search", json={"combinator": "and", "rules": [query]})
        assert " ".join(entity["identifier"] for entity in response.json()["entities"]) == found
        assert response.json()["matchingBlueprints"] == list(
            dict.fromkeys(e["blueprint"] for e in response.json()["entities"])
        )


async def test_unsupported_query_is_rejected(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, str]] = [
        ({"rules": []}, "'combinator'"),
        ({"combinator": "xor", "rules": []}, "body/combinator"),
        ({"combinator": "and", "rules": {}}, "body/rules"),
        ({"combinator": "and", "rules": [1]}, "body/rules/0 must be object"),
        ({"combinator": "and", "rules": [{"combinator": "and"}]}, "body/rules/0/rules"),
        ({"combinator": "and", "rules": [rule("x", "like", 1)]}, "body/rules/0/operator"),
        ({"combinator": "or", "rules": [rule("x", "isEmpty"), rule("x", "=")]}, "body/rules/1"),
        ({"combinator": "and", "rules": [rule("$createdAt", ">", "2026")]}, "does not store $createdAt"),
        ({"combinator": "and", "rules": [rule("at", "between", {"preset": "today"})]}, "does not support presets"),
        ({"combinator": "and", "rules": [rule("x", "in", "a")]}, "body/rules/0/value must be array"),
        ({"combinator": "and", "rules": [rule("x", "beginsWith", 1)]}, "body/rules/0/value must be string"),
        ({"combinator": "and", "rules": [{"operator": "=", "value": 1}]}, "body/rules/0/property"),
        (
            {
                "combinator": "and",
                "rules": [{"operator": "relatedTo", "blueprint": "b", "value": "v", "direction": "upstream"}],
            },
            "direction: the sandbox does not support it",
        ),
    ]
    for query, expected in cases:
        await require_invalid(client.post("/v1/entities/search", json=query), expected)


async def test_search_shows_the_included_fields(client: httpx.AsyncClient) -> None:
    query = {"combinator": "and", "rules": [rule("$identifier", "=", "a")]}
    included = await client.post("/v1/entities/search?include=identifier&include=cpu", json=query)
    assert included.json()["entities"] == [{"identifier": "a", "properties": {"cpu": 1}, "relations": {}}]
    excluded = await client.post("/v1/entities/search?exclude=tags&exclude=$team&exclude=relations", json=query)
    assert excluded.json()["entities"] == [
        {"identifier": "a", "blueprint": "vm", "title": "Alpha", "properties": {"cpu": 1, "on": True}}
    ]


async def test_search_in_a_blueprint_is_paged(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"query": {"combinator": "and", "rules": [rule("cpu", ">", 0)]}, "limit": 2}
    first = (await client.post(f"{VMS}/search", json=body)).json()
    last = (await client.post(f"{VMS}/search", json={**body, "from": first["next"]})).json()
    assert [[entity["identifier"] for entity in page["entities"]] for page in (first, last)] == [["a", "b"], ["c"]]
    assert "next" not in last
    assert (await rejection(client.post(f"{VMS}/search", json={"from": "x"})))[0] == 422
    assert (await rejection(client.post("/v1/blueprints/other/entities/search", json={})))[0] == 404


async def test_bulk_saves_valid_entities_and_lists_invalid_entities(client: httpx.AsyncClient) -> None:
    entities = [{"identifier": "a"}, {"identifier": "new"}, {"identifier": "d", "properties": 1}, "x", {}]
    response = await client.post(f"{VMS}/bulk", json={"entities": entities})
    assert response.status_code == 207
    document = response.json()
    assert [(each["index"], each["created"]) for each in document["entities"]] == [(1, True), (4, True)]
    errors = [(each["index"], each["identifier"], each["statusCode"], each["error"]) for each in document["errors"]]
    assert errors == [
        (0, "a", 409, "identifier_taken"),
        (2, "d", 422, "invalid_request"),
        (3, "unknown", 422, "invalid_request"),
    ]
    again = await client.post(f"{VMS}/bulk?upsert=true&merge=true", json={"entities": [{"identifier": "a"}]})
    assert again.json()["entities"] == [{"identifier": "a", "index": 0, "created": False}]


async def test_bulk_takes_from_1_to_20_entities(client: httpx.AsyncClient) -> None:
    for count in (0, 21):
        assert (await rejection(client.post(f"{VMS}/bulk", json={"entities": [{}] * count})))[0] == 422


JSON = json_values(
    st.integers() | st.floats() | st.text(max_size=5), st.sampled_from(["from", "to", "x"]), max_size=3, max_leaves=5
)
RULE = st.fixed_dictionaries(
    {"operator": st.sampled_from(OPERATORS)},
    optional={"property": st.sampled_from(["$title", "x", "$other"]) | JSON, "value": JSON, "blueprint": JSON},
)
QUERY = st.recursive(
    RULE | JSON,
    lambda inner: st.fixed_dictionaries(
        {"combinator": st.sampled_from(["and", "or"]) | JSON, "rules": st.lists(inner, max_size=3)}
    ),
    max_leaves=6,
)


@given(query=QUERY, value=JSON)
def test_any_query_is_evaluated_or_rejected(query: Any, value: Any) -> None:
    entity = {"identifier": "e", "title": value, "properties": {"x": value}, "relations": {"r": "e"}}
    try:
        check_query(query)
    except BadQuery:
        return
    assert matches(query, entity, {("vm", "e"): entity}) in {True, False}
