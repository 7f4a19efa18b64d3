from __future__ import annotations

import json
import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.errors import StoreError
from port_hook_cli.sandbox import Sandbox
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.sandbox.state_file import StateFile
from tests.factories import RUN_ID
from tests.plain_invoker import PlainInvoker
from tests.sandbox.action_runs import SYNCHRONIZED, an_action, ended
from tests.sandbox_clients import a_client, rejection
from tests.sandboxes import sandbox_with
from tests.servers import handler

RUN = f"/v1/actions/runs/{RUN_ID}"


async def test_state_file_restores_everything(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "sandbox.db"
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        await client.post(f"{RUN}/logs", content=b'{"message": "hi \\ud800"}')
        await client.patch(RUN, json={"externalRunId": "gh-7", "link": ["https://x.example"]})
        await client.post(f"/v1/blueprints/vm/entities?run_id={RUN_ID}", json={"identifier": "é"})
        await client.post("/v1/blueprints/vm/entities", json={"identifier": "gone"})
        await client.delete("/v1/blueprints/vm/entities/gone")
        await client.patch("/v1/organization", json={"settings": {"a": 1}})
        body = {key: create_vm_action()[key] for key in ("trigger", "invocationMethod")}
        await client.put("/v1/actions/create_vm", json={**body, "identifier": "other"})
        token = client.headers["authorization"]
        before = (sandbox.client_id, sandbox.client_secret, sandbox.runs, sandbox.actions, sandbox.entities)
    async with sandbox_with(state=file, runs=[RUN_ID]) as sandbox, a_client(sandbox) as client:
        after = (sandbox.client_id, sandbox.client_secret, sandbox.runs, sandbox.actions, sandbox.entities)
        assert after == before
        client.headers["authorization"] = token  # a handler can continue with its token
        assert (await client.get("/v1/actions/runs/gh-7")).json()["run"]["id"] == RUN_ID
        assert (await client.get("/v1/organization")).json()["organization"]["settings"] == {"a": 1}


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
async def test_state_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    file.touch(mode=0o644)
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        await client.post(f"{RUN}/logs", json={"message": "hi"})
        modes = modes_in(tmp_path)
    assert set(modes) >= {"sandbox.db", "sandbox.db-wal"}
    assert set(modes.values()) == {0o600}


async def test_given_actions_replace_the_actions_in_the_state_file(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    async with sandbox_with(state=file, actions=[an_action("http://127.0.0.1:1")]) as sandbox:
        before = sandbox.actions["create_vm"]
    async with sandbox_with(state=file, actions=[an_action("http://127.0.0.1:2")]) as sandbox:
        after = sandbox.actions["create_vm"]
    assert after["invocationMethod"]["url"] == "http://127.0.0.1:2"
    assert after["id"] == before["id"]


async def create(file: Path) -> Path:
    """Start and end a sandbox that creates the state file, and return the file."""
    async with Sandbox.start(state=file):
        return file


async def require_refusal(file: Path, words: str) -> None:
    """Fail unless a sandbox rejects the state file, with these words."""
    with pytest.raises(StoreError, match=words):
        await create(file)


def change(file: Path, statement: str) -> None:
    """Change the state file with an SQL statement."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
async def test_symbolic_link_as_a_state_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "victim")
    await require_refusal(tmp_path / "link.db", r"link\.db is a symbolic link")
    assert not (tmp_path / "victim").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
async def test_state_file_of_another_user_is_rejected(tmp_path: Path) -> None:
    file = await create(tmp_path / "state.db")
    os.chown(file, 4242, 4242)
    await require_refusal(file, "belongs to another user")


@pytest.mark.skipif(sys.platform == "win32", reason="hard links")
async def test_state_file_with_a_second_hard_link_is_rejected(tmp_path: Path) -> None:
    file = await create(tmp_path / "state.db")
    os.link(file, tmp_path / "second.db")
    await require_refusal(file, "hard link")


async def test_state_file_of_another_version_or_with_damaged_rows_is_rejected(tmp_path: Path) -> None:
    file = await create(tmp_path / "sandbox.db")
    for statement, expected in (
        ("UPDATE part SET document = '{' WHERE kind = 'action'", "damaged"),
        ("UPDATE part SET document = '[]', kind = 'run' WHERE kind = 'action'", "damaged"),
        ("UPDATE part SET kind = 'idea' WHERE kind = 'run'", "damaged"),
        ("PRAGMA user_version = 7", "another version"),
    ):
        change(file, statement)
        await require_refusal(file, expected)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("name", ["state.db", None])
async def test_later_calls_are_saved_after_deeply_nested_bodies(tmp_path: Path, name: str | None) -> None:
    file = None if name is None else tmp_path / name
    async with sandbox_with(state=file, runs=[RUN_ID]) as sandbox, a_client(sandbox) as client:
        for levels, status in ((600, 200), (890, 200), (960, 422), (5000, 422), (100_000, 422)):
            response = await client.patch(f"{RUN}/response", content=f'{{"response": {nested(levels)}}}')
            assert response.status_code == status
            assert (await client.post("/v1/teams", json={"name": f"team {levels}"})).status_code == 200
            page = await client.post("/v1/pages", content=f'{{"identifier": "p{levels}", "x": {nested(levels)}}}')
            assert page.status_code == (201 if status == 200 else 422)
    if file is not None:
        async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
            assert (await client.get("/v1/teams/team 5000")).status_code == 200


async def test_node_fails_when_its_entity_is_nested_too_deeply(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    value: Any = "a"
    for _ in range(950):
        value = [value]
    entity = {"identifier": "a", "properties": {"x": value}}
    outcome = sandbox.upsert_entity({"blueprintIdentifier": "vm", "mapping": entity})
    assert "nested too deeply" in outcome.output["error"]["message"]
    assert (await client.post("/v1/teams", json={"name": "data"})).status_code == 200


def format_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


async def test_state_file_of_format_1_is_loaded_and_converted(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        await client.post("/v1/blueprints/vm/entities", json={"identifier": "vm-1"})
        client_id = sandbox.client_id
    assert format_of(file) == 2  # a version that knows format 1 only would call a resource a damaged part
    change(file, "DELETE FROM part WHERE kind = 'resource'")  # format 1 has no resources
    change(file, "PRAGMA user_version = 1")
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        assert sandbox.client_id == client_id
        assert (await client.delete("/v1/blueprints/vm/entities/vm-1")).status_code == 200
    assert format_of(file) == 2


async def test_state_file_is_rejected_when_another_sandbox_uses_it(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    async with Sandbox.start(state=file):
        with pytest.raises(StoreError, match="open in another sandbox"):
            StateFile.open(file, lock_timeout_s=0)
    await create(file)


async def test_call_fails_when_its_change_cannot_be_saved(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    async with Sandbox.start(state=file) as sandbox, a_client(sandbox) as client:
        await client.post(f"{RUN}/logs", json={"message": "hi"})
        kept = sandbox._file  # noqa: SLF001 - the only way to a full disk here
        assert kept is not None
        kept._connection.execute("PRAGMA query_only = ON")  # noqa: SLF001
        assert (await rejection(client.patch(RUN, json={"summary": "s"})))[0] == 500
        kept._connection.execute("PRAGMA query_only = OFF")  # noqa: SLF001
        assert (await client.get(RUN)).status_code == 200
    async with Sandbox.start(state=file) as sandbox:
        assert sandbox.runs[RUN_ID].report.summary == "s"


async def left(file: Path, phase: Phase, action: dict[str, Any], **fields: Any) -> None:
    """Write the state file of a sandbox killed while its run was in `phase`."""
    async with sandbox_with(state=file, actions=[action]) as sandbox:
        sandbox.add_run(RUN_ID, phase=phase, properties={"title": "x"}, **fields)
        async with a_client(sandbox):
            pass


async def test_pending_invocation_is_sent_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.db"
    with handler() as webhook:
        await left(file, Phase.PENDING, an_action(webhook.url, method=SYNCHRONIZED))
        async with sandbox_with(state=file, invoker=PlainInvoker()) as sandbox:
            run = await ended(sandbox, RUN_ID)
            assert run.report.status == "SUCCESS"
    assert [json.loads(request.body)["context"]["runId"] for request in webhook.requests] == [RUN_ID]


@pytest.mark.parametrize(("synchronized", "status"), [(True, "FAILURE"), (False, "IN_PROGRESS")])
async def test_interrupted_invocation_is_not_sent_again(tmp_path: Path, synchronized: bool, status: str) -> None:
    file = tmp_path / "sandbox.db"
    with handler() as webhook:
        action = an_action(webhook.url)
        await left(file, Phase.SENDING, action, payload={"synchronized": synchronized})
        async with Sandbox.start(state=file) as sandbox:
            run = sandbox.runs[RUN_ID]
            assert run.report.status == status
            assert ["may have arrived" in log["message"] for log in run.logs] == [True]
        async with Sandbox.start(state=file) as sandbox:
            assert len(sandbox.runs[RUN_ID].logs) == 1
    assert webhook.requests == []
