"""Runs whose target is Port's own API, which the sandbox answers itself: nothing leaves this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.invocations.models import Delivery, Invocation
from port_hook_cli.sandbox import ApiEvent, CallRate, Sandbox, Sending
from tests.plain_invoker import PlainInvoker
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with
from tests.servers import handler

OURS = "https://api.getport.io/v1"
ENTITY = {"identifier": "vm-1", "properties": {"cpu": 2}}


def an_action(identifier: str, url: str, **method: Any) -> dict[str, Any]:
    action = create_vm_action()
    known = {"type": "WEBHOOK", "url": url, "synchronized": True, **method}
    return {**action, "identifier": identifier, "invocationMethod": known}


async def run_of(actions: list[dict[str, Any]], **options: Any) -> tuple[dict[str, Any], Sandbox]:
    """Return the ended run of the first action."""
    options = {"invoker": PlainInvoker(), **options}
    async with sandbox_with(actions=actions, **options) as sandbox, a_client(sandbox) as client:
        path = f"/v1/actions/{actions[0]['identifier']}/runs"
        started = await client.post(path, json={"properties": {"title": "dev-env"}})
        run_id = started.json()["run"]["id"]
        run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)
        return run.document(), sandbox


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer() as made:
        yield made


@pytest.mark.parametrize(
    "host", ["api.port.io", "api.us.port.io", "api.getport.io", "api.us.getport.io", "API.getport.io"]
)
async def test_sandbox_answers_an_action_whose_url_is_ports_own_api(host: str) -> None:
    calls: list[ApiEvent] = []
    action = an_action("save", f"https://{host}/v1/blueprints/vm/entities?upsert=true", body=ENTITY)
    run, sandbox = await run_of([action], on_event=calls.append)
    assert (run["status"], run["response"]["entity"]["identifier"]) == ("SUCCESS", "vm-1")
    assert sandbox.entities["vm", "vm-1"]["properties"] == {"cpu": 2}
    (call,) = [each for each in calls if each.path.startswith("/v1/blueprints")]
    assert (call.method, call.status) == ("POST", 201)
    assert run["id"] in call.note


async def test_call_is_authenticated_whatever_authorization_the_action_has_and_no_token_is_recorded() -> None:
    sent: list[tuple[Invocation, Delivery]] = []
    action = an_action("save", f"{OURS}/blueprints/vm/entities", body=ENTITY, headers={"Authorization": "Bearer wrong"})
    run, _ = await run_of([action], on_delivery=lambda *each: sent.append(each))
    assert run["status"] == "SUCCESS"
    ((invocation, delivery),) = sent
    assert [value for name, value in invocation.headers if name.lower() == "authorization"] == ["Bearer wrong"]
    assert (delivery.status, delivery.url) == (201, f"{OURS}/blueprints/vm/entities")


async def test_refusal_of_ports_own_api_fails_the_run_with_the_response() -> None:
    run, _ = await run_of([an_action("read", f"{OURS}/blueprints/unknown", method="GET")])
    assert (run["status"], run["summary"]) == ("FAILURE", "The webhook responded with 404.")
    assert run["response"]["error"] == "not_found"


async def test_call_of_ports_own_api_without_the_version_fails_as_in_port() -> None:
    run, _ = await run_of([an_action("read", "https://api.getport.io/blueprints", method="GET")])
    assert (run["status"], run["response"]["error"]) == ("FAILURE", "not_found")
    assert "/v1" in run["response"]["message"]


async def test_url_that_cannot_be_parsed_fails_the_run() -> None:
    run, _ = await run_of([an_action("read", "http://[", method="GET")])
    assert (run["status"], run["summary"]) == ("FAILURE", "http://[ is not an http or https URL.")


async def test_action_starts_a_run_of_another_one_as_the_user_that_its_url_names() -> None:
    with handler() as receiver:
        notify = an_action("notify", receiver.url)
        url = f"{OURS}/actions/notify/runs?run_as=jo%40example.com"
        outer = an_action("outer", url, body={"properties": {"title": "from outer"}})
        options: dict[str, Any] = {"invoker": PlainInvoker()}
        async with sandbox_with(actions=[outer, notify], **options) as sandbox, a_client(sandbox) as client:
            started = await client.post("/v1/actions/outer/runs", json={"properties": {"title": "dev-env"}})
            first = await asyncio.wait_for(sandbox.wait_for_end(started.json()["run"]["id"]), 10)
            second = await asyncio.wait_for(sandbox.wait_for_end(first.report.response["run"]["id"]), 10)
        assert (second.start.action, second.report.status, second.start.user_email) == (
            "notify",
            "SUCCESS",
            "jo@example.com",
        )
        assert json.loads(receiver.requests[0].body)["payload"]["properties"]["title"] == "from outer"


async def test_runs_that_start_one_another_without_end_are_stopped() -> None:
    again = an_action("again", f"{OURS}/actions/again/runs", body={"properties": {"title": "again"}})
    stopped = asyncio.Event()
    options: dict[str, Any] = {"invoker": PlainInvoker()}

    def watch(event: Any) -> None:
        if "start one another" in event.note:
            stopped.set()

    async with sandbox_with(actions=[again], on_run=watch, **options) as sandbox, a_client(sandbox) as client:
        await client.post("/v1/actions/again/runs", json={"properties": {"title": "dev-env"}})
        await asyncio.wait_for(stopped.wait(), 30)
        assert len(sandbox.runs) <= 101
        assert [run.report.status for run in sandbox.runs.values()].count("FAILURE") == 1


async def test_rate_limit_counts_calls_of_runs() -> None:
    action = an_action("save", f"{OURS}/blueprints/vm/entities", body=ENTITY)
    run, _ = await run_of([action], call_rate=CallRate(calls=2, period_s=60))
    assert (run["status"], run["summary"]) == ("FAILURE", "The webhook responded with 429.")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.getport.io/v1/blueprints",
        "https://api.getport.io:443/v1/blueprints",
        "https://api.getport.io.example.com/v1/blueprints",
        "https://me@api.getport.io/v1/blueprints",
        "https://api.getport.io@example.com/v1/blueprints",
        "https://api.getport.io\\@example.com/v1/blueprints",
        "https://api.getport.io./v1/blueprints",
        "https://xapi.getport.io/v1/blueprints",
    ],
)
async def test_url_that_only_looks_like_ports_own_api_is_on_another_machine(url: str) -> None:
    run, _ = await run_of([an_action("read", url, method="GET")])
    assert run["status"] == "FAILURE"
    assert "--allow-remote" in run["summary"]


async def test_allow_remote_does_not_let_a_call_of_ports_own_api_leave_the_machine() -> None:
    action = an_action("save", f"{OURS}/blueprints/vm/entities", body=ENTITY)
    run, sandbox = await run_of([action], sending=Sending(allow_remote=True))
    assert run["status"] == "SUCCESS"
    assert ("vm", "vm-1") in sandbox.entities


async def test_node_of_a_workflow_calls_ports_own_api_and_its_output_is_the_response(renderer: Renderer) -> None:
    document = {
        "identifier": "one",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {
                "identifier": "save",
                "config": {
                    "type": "WEBHOOK",
                    "url": f"{OURS}/blueprints/vm/entities",
                    "body": {"identifier": "{{ .workflow.identifier }}"},
                },
            },
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "save"}],
    }
    async with sandbox_with(renders=renderer, workflows=[document]) as sandbox, a_client(sandbox) as client:
        started = await client.post("/v1/workflows/one/runs", json={"inputs": {}})
        run = await asyncio.wait_for(sandbox.wait_for_workflow_run(started.json()["workflowRun"]["identifier"]), 10)
    assert str(run.result) == "SUCCESS"
    response = run.node_runs[-1].output["response"]
    assert (response["status"], response["data"]["entity"]["identifier"]) == (201, "one")
