"""What the sandbox publishes to a Kafka topic, read by a consumer that reports like Port's agent or a handler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.errors import BrokerError
from port_hook_cli.invocations.models import Delivery, Invocation, Status
from port_hook_cli.kafka.messages import message_headers
from port_hook_cli.kafka.producer import KafkaPublisher, local_publisher
from port_hook_cli.sandbox import ApiEvent, CallRate, Sandbox, Sending
from port_hook_cli.sandbox.run import Phase
from port_hook_cli.signatures.messages import verify_received
from tests.factories import NOW, RUN_ID
from tests.kafka_clusters import running_tansu, tansu_program
from tests.plain_invoker import PlainInvoker
from tests.sandbox import action_runs
from tests.sandbox.action_runs import Steps
from tests.sandbox.claims import CLAIM, claim, claim_nodes
from tests.sandbox.workflow_runs import ended, run_workflow, started, waiting
from tests.sandbox_clients import a_client
from tests.sandboxes import one_node, sandbox_with
from tests.servers import handler
from tests.sockets import free_port
from tests.topics import Topic, plain, reading

RUNS = "/v1/actions/create_vm/runs"
INPUTS = {"properties": {"title": "zoë"}}


def an_action(**method: Any) -> dict[str, Any]:
    action = create_vm_action()
    url = {"url": "http://127.0.0.1:1/hook", "agent": True} if method.get("type", "WEBHOOK") == "WEBHOOK" else {}
    return {**action, "invocationMethod": {"type": "WEBHOOK", **url, **method}}


@asynccontextmanager
async def publishing(
    *, broker: str | None = None, **options: Any
) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient, Topic, Steps]]:
    """Yield a sandbox that publishes, a client of its API, its topic, and the steps of its runs."""
    steps = Steps()
    brokers = None if broker is None else (broker,)
    async with (
        local_publisher(brokers) as (publisher, (address,)),
        sandbox_with(
            publisher=publisher,
            kafka_brokers=[address],
            on_run=steps,
            now=lambda: NOW,
            **{"invoker": PlainInvoker(), **options},
        ) as sandbox,
        a_client(sandbox) as client,
    ):
        assert sandbox.topic == f"{sandbox.organization}.runs"
        with reading(address, sandbox.topic) as topic:
            yield sandbox, client, topic, steps


async def next_message(sandbox: Sandbox, topic: Topic) -> dict[str, Any]:
    """Return the next message, whose signature has to be the sandbox's."""
    value = await asyncio.to_thread(topic.next)
    headers, secret = message_headers(value), sandbox.client_secret
    assert verify_received(headers, value, secret, is_message=True, now=NOW).status is Status.VALID
    return dict(json.loads(value))


async def start(client: httpx.AsyncClient) -> str:
    return await action_runs.start(client, body=INPUTS)


async def test_run_for_the_agent_is_published_and_ends_with_its_reports() -> None:
    action = an_action(synchronized=True, headers={"X-Team": "a"})
    async with publishing(actions=[action]) as (sandbox, client, topic, steps):
        run_id = await start(client)
        message = await next_message(sandbox, topic)
        assert message["context"]["runId"] == run_id
        assert message["payload"]["properties"] == INPUTS["properties"]
        method = message["payload"]["action"]["invocationMethod"]
        assert method == {
            "type": "WEBHOOK",
            "url": "http://127.0.0.1:1/hook",
            "agent": True,
            "synchronized": True,
            "method": "POST",
            "headers": {"X-Team": "a"},
        }
        assert sorted(message["headers"]) == ["X-Port-Signature", "X-Port-Timestamp"]
        step = await steps.reach("published to")
        assert step.note.endswith(
            f"The run stays IN_PROGRESS until the handler reports its result: PATCH /v1/actions/runs/{run_id}"
        )
        assert sandbox.runs[run_id].report.status == "IN_PROGRESS"
        await client.patch(f"/v1/actions/runs/{run_id}/response", json={"response": {"ip": "10.0.0.1"}})
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "SUCCESS"})
        run = await action_runs.ended(sandbox, run_id)
        assert (run.report.status, run.report.response) == ("SUCCESS", {"ip": "10.0.0.1"})


async def test_agent_cannot_claim_a_published_run() -> None:
    calls: list[ApiEvent] = []
    async with publishing(actions=[an_action()], on_event=calls.append) as (_, client, _, steps):
        await start(client)
        await steps.reach("published to")
        assert await claim(client, **CLAIM) == []
    assert [call.note for call in calls if call.path.endswith("claim-pending")] == [
        "no runs to claim: with --kafka, they are published"
    ]


async def test_action_body_is_published_in_the_format_of_the_agent() -> None:
    async with publishing(actions=[an_action(body={"vm": "zoë", "1": 2})]) as (sandbox, client, topic, _):
        run_id = await start(client)
        message = await next_message(sandbox, topic)
        assert (message["vm"], message["1"], message["context"]) == ("zoë", 2, {"runId": run_id})
        assert message["payload"]["action"]["invocationMethod"]["agent"] is True


async def test_kafka_action_is_published_and_waits_for_its_consumer() -> None:
    action = an_action(type="KAFKA", payload={"do": "create", "headers": {"X-Team": "a"}})
    async with publishing(actions=[action]) as (sandbox, client, topic, steps):
        run_id = await start(client)
        message = await next_message(sandbox, topic)
        assert (message["do"], message["headers"]["X-Team"]) == ("create", "a")
        await steps.reach("published to")
        shown = (await client.get(f"/v1/actions/runs/{run_id}")).json()["run"]
        assert shown["payload"] == {"type": "KAFKA", "payload": {"do": "create", "headers": {"X-Team": "a"}}}
        await client.patch(f"/v1/actions/runs/{run_id}", json={"status": "FAILURE", "summary": "no quota"})
        assert (await action_runs.ended(sandbox, run_id)).report.summary == "no quota"


async def test_kafka_action_is_published_after_its_approval() -> None:
    action = {**an_action(type="KAFKA", payload={"do": "create"}), "requiredApproval": True}
    async with publishing(actions=[action]) as (sandbox, client, topic, _):
        run_id = await start(client)
        await client.patch(f"/v1/actions/runs/{run_id}/approval", json={"status": "APPROVE"})
        assert (await next_message(sandbox, topic))["do"] == "create"


async def test_array_is_published_without_a_signature() -> None:
    async with publishing(actions=[an_action(type="KAFKA", payload=[1, 2])]) as (_, client, topic, _):
        await start(client)
        assert await asyncio.to_thread(topic.next) == b"[1,2]"


async def test_kafka_node_publishes_its_payload_and_ends_with_a_report(renderer: Renderer) -> None:
    workflow = one_node(type="KAFKA", payload={"service": "{{ .outputs.trigger.service }}"})
    async with publishing(workflows=[workflow], renders=renderer) as (sandbox, client, topic, steps):
        run_id = await started(client, service="cart")
        node_run_id = await waiting(sandbox, run_id)
        message = await next_message(sandbox, topic)
        assert message["payload"] == {"service": "cart"}
        assert message["context"] == {"workflowRunId": run_id, "nodeRunId": node_run_id}
        step = await steps.reach("stays IN_PROGRESS until the handler reports its result")
        assert "published to" in step.note
        assert "Port does not document what it puts around the payload" in step.note
        await report(client, node_run_id, output={"ok": True})
        run = await ended(sandbox, run_id)
        assert (run.result, run.node_runs[-1].output) == ("SUCCESS", {"ok": True})


async def test_webhook_node_for_the_agent_is_published_and_ends_with_its_report(renderer: Renderer) -> None:
    workflow = one_node(type="WEBHOOK", url="http://127.0.0.1:1/do", agent=True, body={"cpu": 2})
    async with publishing(workflows=[workflow], renders=renderer) as (sandbox, client, topic, steps):
        run_id = await started(client, service="cart")
        node_run_id = await waiting(sandbox, run_id)
        message = await next_message(sandbox, topic)
        assert message["context"]["runId"] == node_run_id
        assert message["context"]["nodeConfig"]["body"] == {"cpu": 2}
        assert message["payload"]["action"]["invocationMethod"]["agent"] is True
        await steps.reach("waits for Port's agent")
        assert await claim_nodes(client, installationId="a", limit=5) == []
        await report(client, node_run_id)
        assert (await ended(sandbox, run_id)).result == "SUCCESS"


async def report(client: httpx.AsyncClient, node_run_id: str, **fields: Any) -> None:
    body = {"status": "COMPLETED", "result": "SUCCESS", **fields}
    assert (await client.patch(f"/v1/workflows/nodes/runs/{node_run_id}", json=body)).status_code == 200


class AwayAfterStart(KafkaPublisher):
    """A publisher whose broker is gone when the first message is published."""

    async def find(self, topic: str) -> None:
        """Find the topic, as if the broker were there."""


async def test_run_fails_when_its_message_is_not_confirmed() -> None:
    address = f"127.0.0.1:{free_port()}"
    actions = [an_action(synchronized=True), an_action(type="KAFKA", payload={}) | {"identifier": "other"}]
    async with (
        AwayAfterStart(plain(address), timeout_s=0.5) as publisher,
        sandbox_with(invoker=PlainInvoker(), publisher=publisher, actions=actions) as sandbox,
        a_client(sandbox) as client,
    ):
        run_ids = [await start(client), await action_runs.start(client, "/v1/actions/other/runs")]
        runs = [await action_runs.ended(sandbox, run_id) for run_id in run_ids]
    for run in runs:
        assert run.report.status == "FAILURE"
        assert run.report.summary is not None
        assert run.report.summary.startswith(f"Kafka at {address} did not confirm the message: ")
        assert [log["message"] for log in run.logs] == [run.report.summary]


async def test_node_fails_when_its_message_is_not_confirmed(renderer: Renderer) -> None:
    webhook = one_node(type="WEBHOOK", url="http://127.0.0.1:1", agent=True)
    async with AwayAfterStart(plain(f"127.0.0.1:{free_port()}"), timeout_s=0.5) as publisher:
        runs = [run_workflow(renderer, node, publisher=publisher) for node in (one_node(type="KAFKA"), webhook)]
        ended_runs = [run for run, _ in await asyncio.gather(*runs)]
    for run in ended_runs:
        assert run.result == "FAILED"
        assert "did not confirm the message" in str(run.node_runs[-1].output)


async def test_sandbox_does_not_start_without_its_broker() -> None:
    async with KafkaPublisher(plain(f"127.0.0.1:{free_port()}"), timeout_s=0.1) as publisher:
        with pytest.raises(BrokerError, match="cannot be reached"):
            async with sandbox_with(publisher=publisher):
                pass


async def test_restored_kafka_run_fails_without_a_broker(tmp_path: Path) -> None:
    state = tmp_path / "state"
    action = an_action(type="KAFKA", payload={})
    async with sandbox_with(actions=[action], state=state) as sandbox, a_client(sandbox) as client:
        sandbox.add_run(RUN_ID, action="create_vm", phase=Phase.PENDING)
        await client.get("/v1/organization")  # a call saves what has changed
    async with sandbox_with(invoker=PlainInvoker(), state=state) as sandbox:
        run = await action_runs.ended(sandbox, RUN_ID)
        assert run.report.summary == "This sandbox has no Kafka broker. Start it with --kafka."


@pytest.mark.skipif(tansu_program() is None, reason="there is no Tansu broker for this platform")
async def test_run_is_published_to_a_broker_of_another_program() -> None:
    with running_tansu() as broker:
        async with publishing(broker=broker.address, actions=[an_action()]) as (sandbox, client, topic, _):
            run_id = await start(client)
            assert (await next_message(sandbox, topic))["context"]["runId"] == run_id


OURS = "https://api.getport.io/v1"
ENTITY = {"identifier": "vm-1", "properties": {"cpu": 2}}


def own_api_action(identifier: str, url: str, **method: Any) -> dict[str, Any]:
    action = create_vm_action()
    known = {"type": "WEBHOOK", "url": url, "synchronized": True, **method}
    return {**action, "identifier": identifier, "invocationMethod": known}


async def run_of(actions: list[dict[str, Any]], **options: Any) -> tuple[dict[str, Any], Sandbox]:
    """Return the ended run of the first action."""
    async with action_runs.running(*actions, **options) as (sandbox, client):
        run_id = await action_runs.start(client, f"/v1/actions/{actions[0]['identifier']}/runs")
        return (await action_runs.ended(sandbox, run_id)).document(), sandbox


async def test_sandbox_responds_to_an_action_with_the_url_of_ports_own_api() -> None:
    for host in ("api.port.io", "api.us.port.io", "api.getport.io", "api.us.getport.io", "API.getport.io"):
        calls: list[ApiEvent] = []
        action = own_api_action("save", f"https://{host}/v1/blueprints/vm/entities?upsert=true", body=ENTITY)
        run, sandbox = await run_of([action], on_event=calls.append)
        assert (run["status"], run["response"]["entity"]["identifier"]) == ("SUCCESS", "vm-1")
        assert sandbox.entities["vm", "vm-1"]["properties"] == {"cpu": 2}
        (call,) = [each for each in calls if each.path.startswith("/v1/blueprints")]
        assert (call.method, call.status) == ("POST", 201)
        assert run["id"] in call.note


async def test_call_is_authenticated_despite_an_authorization_header_and_its_token_is_not_recorded() -> None:
    sent: list[tuple[Invocation, Delivery]] = []
    action = own_api_action(
        "save", f"{OURS}/blueprints/vm/entities", body=ENTITY, headers={"Authorization": "Bearer wrong"}
    )
    run, _ = await run_of([action], on_delivery=lambda *each: sent.append(each))
    assert run["status"] == "SUCCESS"
    ((invocation, delivery),) = sent
    assert [value for name, value in invocation.headers if name.lower() == "authorization"] == ["Bearer wrong"]
    assert (delivery.status, delivery.url) == (201, f"{OURS}/blueprints/vm/entities")


async def test_rejection_by_ports_own_api_fails_the_run_with_the_response() -> None:
    run, _ = await run_of([own_api_action("read", f"{OURS}/blueprints/unknown", method="GET")])
    assert (run["status"], run["summary"]) == ("FAILURE", "The webhook responded with 404.")
    assert run["response"]["error"] == "not_found"


async def test_call_of_ports_own_api_fails_like_in_port_unless_its_path_has_one_version() -> None:
    for base in ("https://api.getport.io", f"{OURS}/v1"):
        run, _ = await run_of([own_api_action("read", f"{base}/blueprints", method="GET")])
        assert (run["status"], run["response"]["error"]) == ("FAILURE", "not_found")
        assert "/v1" in run["response"]["message"]


async def test_run_fails_when_its_url_cannot_be_parsed() -> None:
    run, _ = await run_of([own_api_action("read", "http://[", method="GET")])
    assert (run["status"], run["summary"]) == ("FAILURE", "http://[ is not an http or https URL.")


async def test_action_starts_a_run_of_another_action_as_the_user_in_its_url() -> None:
    with handler() as receiver:
        notify = own_api_action("notify", receiver.url)
        url = f"{OURS}/actions/notify/runs?run_as=jo%40example.com"
        outer = own_api_action("outer", url, body={"properties": {"title": "from outer"}})
        async with action_runs.running(outer, notify) as (sandbox, client):
            first = await action_runs.ended(sandbox, await action_runs.start(client, "/v1/actions/outer/runs"))
            second = await action_runs.ended(sandbox, first.report.response["run"]["id"])
        assert (second.start.action, second.report.status, second.start.user_email) == (
            "notify",
            "SUCCESS",
            "jo@example.com",
        )
        assert json.loads(receiver.requests[0].body)["payload"]["properties"]["title"] == "from outer"


async def test_endless_chain_of_runs_is_stopped(steps: Steps) -> None:
    again = own_api_action("again", f"{OURS}/actions/again/runs", body={"properties": {"title": "again"}})
    async with action_runs.running(again, on_run=steps) as (sandbox, client):
        await action_runs.start(client, "/v1/actions/again/runs")
        await steps.reach("start one another")
        assert len(sandbox.runs) <= 101
        assert [run.report.status for run in sandbox.runs.values()].count("FAILURE") == 1


async def test_rate_limit_counts_calls_of_runs() -> None:
    action = own_api_action("save", f"{OURS}/blueprints/vm/entities", body=ENTITY)
    run, _ = await run_of([action], call_rate=CallRate(calls=2, period_s=60))
    assert (run["status"], run["summary"]) == ("FAILURE", "The webhook responded with 429.")


async def test_url_similar_to_ports_own_api_is_on_another_machine() -> None:
    for url in (
        "http://api.getport.io/v1/blueprints",
        "https://api.getport.io:443/v1/blueprints",
        "https://api.getport.io.example.com/v1/blueprints",
        "https://me@api.getport.io/v1/blueprints",
        "https://api.getport.io@example.com/v1/blueprints",
        "https://api.getport.io\\@example.com/v1/blueprints",
        "https://api.getport.io./v1/blueprints",
        "https://xapi.getport.io/v1/blueprints",
    ):
        run, _ = await run_of([own_api_action("read", url, method="GET")])
        assert run["status"] == "FAILURE"
        assert "--allow-remote" in run["summary"]


async def test_call_of_ports_own_api_stays_on_this_machine_with_allow_remote() -> None:
    action = own_api_action("save", f"{OURS}/blueprints/vm/entities", body=ENTITY)
    run, sandbox = await run_of([action], sending=Sending(allow_remote=True))
    assert run["status"] == "SUCCESS"
    assert ("vm", "vm-1") in sandbox.entities


async def test_node_of_a_workflow_calls_ports_own_api_and_its_output_is_the_response(renderer: Renderer) -> None:
    body = {"identifier": "{{ .workflow.identifier }}"}
    document = one_node(type="WEBHOOK", url=f"{OURS}/blueprints/vm/entities", body=body)
    run, _ = await run_workflow(renderer, document)
    assert run.result == "SUCCESS"
    response = run.node_runs[-1].output["response"]
    assert (response["status"], response["data"]["entity"]["identifier"]) == (201, "one")
