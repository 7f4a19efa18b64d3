"""Blueprints, and the list of their entities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from port_hook_cli.sandbox import Sandbox
from tests.sandbox_clients import a_client, rejection, require_invalid

BLUEPRINTS = "/v1/blueprints"
VM: dict[str, Any] = {"identifier": "vm", "title": "VM", "schema": {"properties": {}, "required": []}}


async def test_blueprint_is_created_changed_replaced_and_deleted(client: httpx.AsyncClient) -> None:
    created = await client.post(BLUEPRINTS, json=VM)
    assert created.status_code == 201
    assert created.json()["blueprint"].items() >= VM.items()
    changed = (await client.patch(f"{BLUEPRINTS}/vm", json={"icon": "Server"})).json()["blueprint"]
    assert (changed["title"], changed["icon"]) == ("VM", "Server")
    replaced = (await client.put(f"{BLUEPRINTS}/vm", json={**VM, "title": "Machine"})).json()["blueprint"]
    assert ("icon" in replaced, replaced["title"]) == (False, "Machine")
    assert (await client.get(f"{BLUEPRINTS}/vm")).json()["blueprint"] == replaced
    assert (await client.get(BLUEPRINTS)).json()["blueprints"] == [replaced]
    assert (await client.delete(f"{BLUEPRINTS}/vm")).json() == {"ok": True}
    assert (await rejection(client.get(f"{BLUEPRINTS}/vm")))[:2] == (404, "not_found")


async def test_blueprint_identifier_can_be_used_once(client: httpx.AsyncClient) -> None:
    await client.post(BLUEPRINTS, json=VM)
    await client.post(BLUEPRINTS, json={**VM, "identifier": "disk"})
    assert (await rejection(client.post(BLUEPRINTS, json=VM)))[:2] == (409, "identifier_taken")
    renamed = client.patch(f"{BLUEPRINTS}/disk", json={"identifier": "vm"})
    assert (await rejection(renamed))[:2] == (409, "identifier_taken")
    assert (await client.patch(f"{BLUEPRINTS}/disk", json={"identifier": "volume"})).status_code == 200
    assert [each["identifier"] for each in (await client.get(BLUEPRINTS)).json()["blueprints"]] == ["vm", "volume"]


async def test_blueprint_with_entities_is_neither_deleted_nor_renamed(client: httpx.AsyncClient) -> None:
    await client.post(BLUEPRINTS, json=VM)
    await client.post(f"{BLUEPRINTS}/vm/entities", json={"identifier": "dev"})
    assert (await rejection(client.delete(f"{BLUEPRINTS}/vm")))[:2] == (409, "has_dependents")
    renamed = await rejection(client.patch(f"{BLUEPRINTS}/vm", json={"identifier": "machine"}))
    assert (renamed[0], "rename" in renamed[2]) == (422, True)


async def test_invalid_blueprint_is_rejected_with_the_name_of_the_field(client: httpx.AsyncClient) -> None:
    cases: list[tuple[Any, str]] = [
        ({"identifier": "vm"}, "'schema'"),
        ({"schema": {}}, "'identifier'"),
        ({**VM, "identifier": "a b"}, "body/identifier"),
        ({**VM, "schema": []}, "body/schema"),
        ({**VM, "relations": 1}, "body/relations"),
    ]
    for body, expected in cases:
        await require_invalid(client.post(BLUEPRINTS, json=body), expected)


async def test_entities_of_a_blueprint_are_listed(client: httpx.AsyncClient) -> None:
    assert (await rejection(client.get(f"{BLUEPRINTS}/vm/entities")))[:2] == (404, "not_found")
    await client.post(BLUEPRINTS, json=VM)
    assert (await client.get(f"{BLUEPRINTS}/vm/entities")).json()["entities"] == []
    await client.post(f"{BLUEPRINTS}/vm/entities", json={"identifier": "dev", "properties": {"cpu": 2}})
    await client.post(f"{BLUEPRINTS}/disk/entities", json={"identifier": "ssd"})
    (dev,) = (await client.get(f"{BLUEPRINTS}/vm/entities")).json()["entities"]
    assert dev == {"identifier": "dev", "blueprint": "vm", "properties": {"cpu": 2}, "relations": {}}
    assert len((await client.get(f"{BLUEPRINTS}/disk/entities")).json()["entities"]) == 1


async def test_blueprints_and_integrations_are_in_the_state_file(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    async with Sandbox.start(state=state) as sandbox, a_client(sandbox) as client:
        blueprint = (await client.post(BLUEPRINTS, json=VM)).json()["blueprint"]
        await client.post("/v1/integration", json={"installationId": "mine", "version": "1"})
    async with Sandbox.start(state=state) as sandbox, a_client(sandbox) as client:
        assert (await client.get(f"{BLUEPRINTS}/vm")).json()["blueprint"] == blueprint
        assert (await client.get("/v1/integration/mine")).json()["integration"]["version"] == "1"
        await sandbox.reset()
        assert (await client.get(BLUEPRINTS)).json()["blueprints"] == []
        assert (await rejection(client.get("/v1/integration/mine")))[0] == 404
