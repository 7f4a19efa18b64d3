"""Create, list and delete actions, including through the old routes below a blueprint."""

from __future__ import annotations

from typing import Any

import httpx

from tests.sandbox_clients import rejection, require_invalid

METHOD = {"type": "WEBHOOK", "url": "http://127.0.0.1:9"}
CURRENT: dict[str, Any] = {
    "identifier": "scale",
    "trigger": {"type": "self-service", "operation": "DAY-2", "blueprintIdentifier": "vm", "userInputs": {}},
    "invocationMethod": METHOD,
}
OLD: dict[str, Any] = {
    "identifier": "stop",
    "trigger": "DAY-2",
    "userInputs": {"properties": {"why": {"type": "string"}}, "required": []},
    "invocationMethod": METHOD,
}


async def listed(client: httpx.AsyncClient, path: str = "/v1/actions") -> list[str]:
    return [action["identifier"] for action in (await client.get(path)).json()["actions"]]


async def test_action_is_created_listed_and_deleted(client: httpx.AsyncClient) -> None:
    created = await client.post("/v1/actions", json=CURRENT)
    assert created.status_code == 201
    assert (await client.get("/v1/actions/scale")).json()["action"] == created.json()["action"]
    assert await listed(client) == ["create_vm", "scale"]
    assert (await rejection(client.post("/v1/actions", json=CURRENT)))[:2] == (409, "identifier_taken")
    assert (await client.delete("/v1/actions/scale")).json() == {"ok": True}
    assert await listed(client) == ["create_vm"]
    assert (await rejection(client.delete("/v1/actions/scale")))[:2] == (404, "not_found")


async def test_actions_are_listed_by_filters(client: httpx.AsyncClient) -> None:
    created = {"type": "ENTITY_CREATED", "blueprintIdentifier": "service"}
    ran = {"type": "RUN_CREATED", "actionIdentifier": "scale", "blueprintIdentifier": "service"}
    for action in (
        CURRENT,
        {"identifier": "watch", "trigger": {"type": "automation", "event": created}, "invocationMethod": METHOD},
        {
            "identifier": "draft",
            "trigger": {"type": "automation", "event": ran},
            "invocationMethod": METHOD,
            "publish": False,
        },
    ):
        assert (await client.post("/v1/actions", json=action)).status_code == 201
    cases: list[tuple[str, list[str]]] = [
        ("action_identifier=scale", ["scale"]),
        ("action_identifier=scale&action_identifier=watch", ["scale", "watch"]),
        ("action_identifier=scale,watch&trigger_type=automation", ["watch"]),
        ("blueprint_identifier=vm", ["create_vm", "scale"]),
        ("blueprint_identifier=service", ["watch", "draft"]),
        ("operation=CREATE", ["create_vm"]),
        ("trigger_type=self-service", ["create_vm", "scale"]),
        ("trigger_event=ENTITY_CREATED", ["watch"]),
        ("trigger_event_action_identifier=scale", ["draft"]),
        ("published=true", ["create_vm", "scale", "watch"]),
        ("published=false&version=v2", ["create_vm", "scale", "watch", "draft"]),
        ("action_identifier=nothing", []),
    ]
    for query, expected in cases:
        assert await listed(client, f"/v1/actions?{query}") == expected


async def test_invalid_action_is_not_created(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, str]] = [
        ({**CURRENT, "identifier": 1}, "body/identifier"),
        ({**CURRENT, "color": "red"}, "'color'"),
        ({**CURRENT, "invocationMethod": {"type": "WEBHOOK"}}, "'url'"),
        ({"identifier": "x", "invocationMethod": METHOD}, "'trigger'"),
        ({**OLD, "trigger": "START"}, "cannot be converted"),
    ]
    for body, expected in cases:
        await require_invalid(client.post("/v1/actions", json=body), expected)


async def test_old_routes_accept_actions_in_the_old_format(client: httpx.AsyncClient) -> None:
    actions = "/v1/blueprints/vm/actions"
    created = (await client.post(actions, json=OLD)).json()["action"]
    assert created["trigger"] == {
        "type": "self-service", "operation": "DAY-2", "blueprintIdentifier": "vm", "userInputs": OLD["userInputs"],
    }  # fmt: skip
    assert await listed(client, actions) == ["create_vm", "stop"]
    changed = await client.put(f"{actions}/stop", json={**OLD, "title": "Stop"})
    assert (
        (await client.get(f"{actions}/stop")).json()["action"]["title"] == changed.json()["action"]["title"] == "Stop"
    )
    for path in ("/v1/blueprints/disk/actions/stop", "/v1/blueprints/disk/actions"):
        assert (await rejection(client.get(path)))[:2] == (404, "not_found")
    assert (await client.delete(f"{actions}/stop")).status_code == 200
    assert await listed(client, actions) == ["create_vm"]


async def test_old_routes_start_runs(client: httpx.AsyncClient) -> None:
    await client.post("/v1/actions", json=CURRENT)
    body: dict[str, Any] = {"properties": {}}
    plain = (await client.post("/v1/blueprints/vm/actions/scale/runs", json=body)).json()["run"]
    on = (await client.post("/v1/blueprints/vm/entities/dev/actions/scale/runs", json=body)).json()["run"]
    assert ("entity" in plain, on["entity"]["identifier"], on["blueprint"]["identifier"]) == (False, "dev", "vm")
    assert (await rejection(client.post("/v1/blueprints/disk/actions/scale/runs", json=body)))[0] == 404
