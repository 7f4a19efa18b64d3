"""Prism, which knows nothing of port-hook, judges the requests of our commands and the responses of the sandbox.

The document has no PUT of an action, so these tests do not judge the PUT of `listen --retarget` and `restore`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from tests.conformance.prism import behind
from tests.conftest import Run
from tests.factories import RUN_ID
from tests.port_clients import authorized
from tests.port_openapi import openapi_file, port_openapi, with_shown_action
from tests.servers import handler

pytestmark = [pytest.mark.timeout(600), pytest.mark.enable_socket]


REPORTS = (
    ("--log", "hi", "--log", "é \u2028"),
    ("--status", "success"),
    ("--status", "failure", "--summary", "s", "--label", "l"),
    ("--link", "https://ci.example.com/7", "--link", "https://x.example"),
    ("--link", "https://ci.example.com/7", "--external-run-id", "gh-7"),
)


@pytest.mark.parametrize("flags", REPORTS, ids=range(len(REPORTS)))
def test_report_run_and_the_sandbox_follow_the_api_document(
    prism: Path, original: Path, run: Run, flags: tuple[str, ...]
) -> None:
    with behind(prism, original) as (sandbox, env):
        result = run("report-run", RUN_ID, *flags, env=env)
        assert (result.code, result.err) == (0, result.err)
        assert RUN_ID in sandbox.runs


@pytest.fixture
def original() -> Path:
    """Port's document, unchanged."""
    file = openapi_file()
    if file is None:
        pytest.skip("Port's OpenAPI document is not on this machine. Set PORT_OPENAPI to its path")
    return file


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Port's document, with a valid response to the GET of an action."""
    file = tmp_path / "port-api.json"
    file.write_text(json.dumps(with_shown_action(port_openapi())))
    return file


def test_calls_of_trigger_and_replay_follow_the_api_document(
    prism: Path, document: Path, run: Run, folder: Path
) -> None:
    (folder / "entity.json").write_text('{"identifier": "dev", "title": "Dev", "blueprint": "vm", "properties": {}}')
    (folder / "user.json").write_text('{"email": "me@example.com"}')
    start = ("trigger", "create_vm", "--input", "title=é", "--input", "cpu=4", "--with", "entity=entity.json")
    with handler() as receiver, behind(prism, document) as (sandbox, env):
        action = create_vm_action()
        webhook = {**action["invocationMethod"], "url": receiver.url, "synchronized": True}
        trigger = {**action["trigger"], "operation": "DAY-2"}
        sandbox.add_action({**action, "trigger": trigger, "invocationMethod": webhook})
        started = run(*start, "--with", "user=user.json", "--via-port", "--wait", "20", "--json", env=env)
        assert (started.code, started.err) == (0, started.err)
        (record,) = started.records
        assert (record["status"], sandbox.runs[record["run_id"]].start.user_email) == ("SUCCESS", "me@example.com")
        assert run("replay", record["run_id"], "--to", receiver.url, env=env).code == 0
        read = run(*start, "--to", receiver.url, env=env)
        assert (read.code, read.err) == (0, read.err)
    assert len(receiver.requests) == 3


def test_whole_run_follows_the_api_document(prism: Path, original: Path) -> None:
    with behind(prism, original) as (sandbox, env):
        action = sandbox.actions["create_vm"]
        sandbox.add_action({**action, "requiredApproval": {"type": "ANY"}})
        with authorized(env) as client:
            inputs = {"properties": {"title": "x"}, "entity": "dev"}
            started = client.post("/v1/actions/create_vm/runs", json=inputs)
            assert started.status_code == 202, started.text
            run = f"/v1/actions/runs/{started.json()['run']['id']}"
            approved = client.patch(f"{run}/approval", json={"status": "APPROVE", "description": "go"})
            assert approved.status_code == 201, approved.text
            entity = {"identifier": "dev", "title": "Dev", "properties": {"cpu": 2}, "relations": {"team": None}}
            for answer in (
                client.get("/v1/actions/runs", params={"action": "create_vm", "limit": 5}),
                client.post("/v1/blueprints/vm/entities", params={"upsert": "true"}, json=entity),
                client.patch("/v1/blueprints/vm/entities/dev", json={"title": None}),
                client.put("/v1/blueprints/vm/entities/dev", json=entity),
                client.get("/v1/blueprints/vm/entities/dev"),
            ):
                assert answer.status_code in {200, 201}, answer.text
            ended = _ended(client, run)
            assert (ended["status"], "--allow-remote" in ended["summary"]) == ("FAILURE", True)
            assert client.get(f"{run}/logs").json()["runLogs"]


def _ended(client: httpx.Client, run: str) -> dict[str, str]:
    deadline = time.monotonic() + 10
    while True:
        answer = client.get(run, params={"version": "v2"})
        assert answer.status_code == 200, answer.text
        if "endedAt" in answer.json()["run"]:
            shown: dict[str, str] = answer.json()["run"]
            return shown
        assert time.monotonic() < deadline
