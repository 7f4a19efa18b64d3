"""Whole workflows and single nodes through the fixtures."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.errors import UsageError
from port_hook_cli.pytest_plugin import PortHook, PortSandbox, WorkflowNotEnded
from tests.port_clients import authorized
from tests.servers import Handler, application, handler

READY = b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{"ready":true}'
OUTLETS = [{"identifier": "approve"}, {"identifier": "decline"}]


@pytest.fixture
def receiver() -> Iterator[Handler]:
    with handler(READY) as it:
        yield it


def a_workflow(
    *nodes: Mapping[str, Any], trigger: str = "SELF_SERVE_TRIGGER", outlet: str | None = None
) -> dict[str, Any]:
    names = ["start", *(node["identifier"] for node in nodes)]
    connections: list[dict[str, Any]] = [
        {"sourceIdentifier": source, "targetIdentifier": target} for source, target in pairwise(names)
    ]
    if outlet is not None:
        connections[1]["sourceOutletIdentifier"] = outlet
    return {
        "identifier": "flow",
        "nodes": [{"identifier": "start", "config": {"type": trigger}}, *nodes],
        "connections": connections,
    }


def a_webhook(identifier: str = "call", **config: Any) -> dict[str, Any]:
    config = {"type": "WEBHOOK", "url": f"https://example.com/{identifier}", "body": {"a": 1}, **config}
    return {"identifier": identifier, "config": config}


def test_run_workflow_uses_routes_of_nodes_and_skips_nodes_with_given_outputs(
    port_hook: PortHook, receiver: Handler
) -> None:
    body = {"ready": "{{ .outputs.given.ready }}"}
    flow = a_workflow(a_webhook("given"), a_webhook("called", body=body))
    outcome = port_hook.run_workflow(
        flow, routes={"called": f"{receiver.url}/mine"}, outputs={"given": {"ready": "yes"}}
    )
    assert (outcome.result, outcome.nodes["given"].output) == ("SUCCESS", {"ready": "yes"})
    (request,) = receiver.requests
    assert request.line == "POST /mine HTTP/1.1"
    assert json.loads(request.body) == {"ready": "yes"}
    response = outcome.nodes["called"].handler_response
    assert response is not None
    assert (response.status, response.json()) == (200, {"ready": True})


def test_run_workflow_needs_an_event_for_an_event_trigger(port_hook: PortHook, receiver: Handler) -> None:
    flow = a_workflow(a_webhook(body={"x": "{{ .outputs.trigger.diff.after }}"}), trigger="EVENT_TRIGGER")
    with pytest.raises(UsageError, match="needs an event"):
        port_hook.run_workflow(flow, to=receiver.url)
    assert port_hook.run_workflow(flow, to=receiver.url, event={"diff": {"after": 2}}).result == "SUCCESS"
    assert json.loads(receiver.requests[-1].body) == {"x": 2}
    flow["nodes"][0]["config"]["condition"] = {"type": "JQ", "expressions": [".diff.after == 3"]}
    with pytest.raises(UsageError, match=r"does not run for this event: \.diff\.after == 3 is false"):
        port_hook.run_workflow(flow, to=receiver.url, event={"diff": {"after": 2}})


def test_input_node_takes_the_outlet_of_its_response(port_hook: PortHook, receiver: Handler) -> None:
    ask = {"identifier": "ask", "config": {"type": "INPUT", "userInputs": {"buttons": OUTLETS}, "outlets": OUTLETS}}
    flow = a_workflow(ask, a_webhook(), outlet="approve")
    approved = port_hook.run_workflow(flow, to=receiver.url, responses={"ask": "approve"})
    assert (approved.result, approved.nodes["ask"].outlet, "call" in approved.nodes) == ("SUCCESS", "approve", True)
    declined = port_hook.run_workflow(flow, to=receiver.url, responses={"ask": "decline"})
    assert (declined.result, "call" in declined.nodes) == ("SUCCESS", False)
    with pytest.raises(WorkflowNotEnded, match="ask"):
        port_hook.run_workflow(flow, to=receiver.url)


def test_run_workflow_raises_with_the_sent_requests_when_a_node_is_not_reported(
    port_hook: PortHook, receiver: Handler, tmp_path: Path
) -> None:
    flow = a_workflow(a_webhook(synchronized=False))
    with pytest.raises(WorkflowNotEnded, match="call") as caught:
        port_hook.run_workflow(flow, to=receiver.url, timeout_s=0.3)
    assert (caught.value.outcome.status, caught.value.outcome.result) == ("IN_PROGRESS", None)
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(flow), "utf-8")
    with pytest.raises(WorkflowNotEnded):
        port_hook.invoke(f"{file}#call", to=receiver.url, timeout_s=0.3)


def test_entity_is_saved_in_the_sandbox_of_the_test(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    mapping = {"identifier": "vm1", "properties": {"cpu": 2}}
    port_sandbox.add_blueprint({"identifier": "vm", "schema": {"properties": {"cpu": {"type": "number"}}}})
    put = {"identifier": "put", "config": {"type": "UPSERT_ENTITY", "blueprintIdentifier": "vm", "mapping": mapping}}
    outcome = port_hook.run_workflow(a_workflow(put))
    assert outcome.result == "SUCCESS"
    assert outcome.nodes["put"].output == {"response": {"data": {**mapping, "blueprint": "vm", "relations": {}}}}


def test_sandbox_of_the_test_responds_to_a_node_with_the_url_of_ports_own_api(
    port_hook: PortHook, port_sandbox: PortSandbox, receiver: Handler
) -> None:
    port_sandbox.add_blueprint({"identifier": "vm", "schema": {}})
    url = "https://api.getport.io/v1/blueprints/vm/entities?upsert=true"
    save = a_webhook("save", url=url, body={"identifier": "vm1"})
    outcome = port_hook.run_workflow(a_workflow(a_webhook("first"), save), to=receiver.url)
    assert outcome.result == "SUCCESS"
    assert len(receiver.requests) == 1
    assert outcome.nodes["save"].output["response"]["status"] == 201
    assert ("vm", "vm1") in port_sandbox.entities


async def test_workflow_runs_in_the_event_loop_of_an_asynchronous_test(port_hook: PortHook, receiver: Handler) -> None:
    outcome = await port_hook.arun_workflow(a_workflow(a_webhook()), to=receiver.url)
    assert outcome.nodes["call"].output == {"response": {"status": 200, "data": {"ready": True}}}


def test_invalid_workflow_is_rejected(port_hook: PortHook) -> None:
    with pytest.raises(UsageError, match="has no `nodes`"):
        port_hook.run_workflow({"identifier": "x", "nodes": []})


# Routes and targets.


def test_target_is_a_port_or_a_url_with_a_path_to_replace_the_path_of_the_node(
    port_hook: PortHook, receiver: Handler
) -> None:
    flow = a_workflow(a_webhook("a"), a_webhook("b"), a_webhook("c"))
    routes: dict[str, str | int] = {"b": f"{receiver.url}/other?x=1", "c": receiver.port}
    assert port_hook.run_workflow(flow, to=receiver.port, routes=routes).result == "SUCCESS"
    assert [request.line.split()[1] for request in receiver.requests] == ["/a", "/other?x=1", "/c"]


def test_node_on_another_machine_is_not_called_without_a_target(port_hook: PortHook, receiver: Handler) -> None:
    flow = a_workflow(a_webhook("near"), a_webhook("far"))
    with pytest.raises(
        UsageError, match=r"The node far's URL is https://example\.com/far, which is not on this machine"
    ):
        port_hook.run_workflow(flow, routes={"near": receiver.url})
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routes": {"cal": 1}}, "`routes` has unknown nodes: cal. The nodes of flow are: start, call"),
        ({"outputs": {"cal": {}}}, "`outputs` has unknown nodes: cal"),
        ({"responses": {"cal": "yes"}}, "`responses` has unknown nodes: cal"),
    ],
)
def test_missing_node_is_reported_before_the_first_request(
    port_hook: PortHook, receiver: Handler, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        port_hook.run_workflow(a_workflow(a_webhook()), to=receiver.url, **options)
    assert receiver.requests == []


def test_unknown_argument_of_a_workflow_is_rejected(port_hook: PortHook) -> None:
    with pytest.raises(TypeError, match=r"unknown arguments: route \(known: to, routes"):
        port_hook.run_workflow(a_workflow(a_webhook()), route={})  # type: ignore[call-arg]


# Triggers, inputs, events, users and secrets.


def test_templates_see_the_user_and_the_secrets_of_the_test(port_hook: PortHook, receiver: Handler) -> None:
    body = {"by": "{{ .workflowRun.trigger.by.email }}", "node": "{{ .workflowRun.trigger.identifier }}"}
    flow = a_workflow(a_webhook(body=body, headers={"x-key": "{{ .secrets.HOOK }}"}))
    user = {"user": {"email": "ada@example.com"}}
    assert port_hook.run_workflow(flow, to=receiver.url, by=user, secrets={"HOOK": "k1"}).result == "SUCCESS"
    (request,) = receiver.requests
    assert (json.loads(request.body), request.value("x-key")) == ({"by": "ada@example.com", "node": "start"}, "k1")


def test_trigger_must_be_selected_when_a_file_has_several(
    port_hook: PortHook, receiver: Handler, tmp_path: Path
) -> None:
    flow = a_workflow(a_webhook(body={"x": "{{ .outputs.trigger.diff.after }}"}))
    flow["nodes"].append({"identifier": "changed", "config": {"type": "EVENT_TRIGGER"}})
    flow["connections"].append({"sourceIdentifier": "changed", "targetIdentifier": "call"})
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(flow), "utf-8")
    with pytest.raises(UsageError, match="trigger"):
        port_hook.run_workflow(file, to=receiver.url)
    outcome = port_hook.run_workflow(f"{file}#changed", to=receiver.url, event={"diff": {"after": 3}})
    assert (outcome.result, list(outcome.nodes)) == ("SUCCESS", ["changed", "call"])
    assert json.loads(receiver.requests[-1].body) == {"x": 3}


def test_node_after_an_event_trigger_is_invoked_alone_with_its_event(
    port_hook: PortHook, receiver: Handler, tmp_path: Path
) -> None:
    flow = a_workflow(
        a_webhook("first"), a_webhook(body={"x": "{{ .outputs.trigger.action }}"}), trigger="EVENT_TRIGGER"
    )
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(flow), "utf-8")
    run = port_hook.invoke(f"{file}#call", to=receiver.url, event={"action": "CREATE"})
    bodies = [json.loads(request.body) for request in receiver.requests]
    assert (run.result, bodies) == ("SUCCESS", [{"x": "CREATE"}])
    with pytest.raises(UsageError, match="`entity` is for actions"):
        port_hook.invoke(f"{file}#call", to=receiver.url, entity={"identifier": "x"})


def test_target_is_enough_for_a_node_with_a_placeholder_url(port_hook: PortHook, receiver: Handler) -> None:
    flow = a_workflow(a_webhook("first", url="<WEBHOOK_URL>"), a_webhook("second", url="<OTHER_URL>"))
    outcome = port_hook.run_workflow(flow, to=receiver.url, routes={"second": f"{receiver.url}/mine"})
    assert outcome.result == "SUCCESS"
    assert [request.line for request in receiver.requests] == ["POST / HTTP/1.1", "POST /mine HTTP/1.1"]
    assert "which is not a URL" in str(port_hook.run_workflow(flow).nodes["first"].output)


# Responses of INPUT nodes.


def test_response_is_rejected_with_the_outlets_when_it_is_not_an_outlet(port_hook: PortHook) -> None:
    ask = {"identifier": "ask", "config": {"type": "INPUT", "userInputs": {"buttons": OUTLETS}, "outlets": OUTLETS}}
    with pytest.raises(UsageError, match=r"has no outlet maybe\. It has: approve, decline"):
        port_hook.run_workflow(a_workflow(ask), responses={"ask": "maybe"})


# Time limits, failures, and reports.


def test_node_fails_when_the_receiver_is_too_slow(port_hook: PortHook) -> None:
    with handler(READY, delay_s=30) as slow:
        began = time.monotonic()
        outcome = port_hook.run_workflow(a_workflow(a_webhook()), to=slow.url, timeout_s=0.2)
        assert time.monotonic() - began < 25  # less than the delay
    output = {"error": {"message": "The handler did not respond within 0.2 s."}}
    assert (outcome.result, outcome.nodes["call"].output) == ("FAILED", output)


class Reporting:
    """A handler that reports its node to the sandbox: before it responds, or in a thread afterwards."""

    def __init__(self, environ: Mapping[str, str], *, result: str, first: bool) -> None:
        self.environ, self.result, self.first = environ, result, first
        self.threads: list[threading.Thread] = []

    async def handle(self, request: web.Request) -> web.Response:
        node_run_id = json.loads(await request.read())["node"]
        if self.first:
            await asyncio.to_thread(self.report, node_run_id)
        else:
            self.threads.append(threading.Thread(target=self.report, args=(node_run_id,)))
            self.threads[-1].start()
        return web.Response(status=202)

    def report(self, node_run_id: str) -> None:
        with authorized(self.environ) as client:
            path = f"/v1/workflows/nodes/runs/{node_run_id}"
            begun = {"status": "IN_PROGRESS", "externalRunId": "job-7", "links": ["https://ci.example.com/7"]}
            ended = {"status": "COMPLETED", "result": self.result, "output": {"n": 1}}
            for document in (begun, ended):
                client.patch(path, json=document).raise_for_status()


@pytest.mark.parametrize(
    ("result", "first"), [("SUCCESS", True), ("SUCCESS", False), ("FAILED", True), ("CANCELLED", False)]
)
def test_asynchronous_node_ends_with_its_report_before_or_after_the_response(
    port_hook: PortHook, port_sandbox: PortSandbox, result: str, first: bool
) -> None:
    reporting, app = Reporting(port_sandbox.environ, result=result, first=first), web.Application()
    app.router.add_route("*", "/{path:.*}", reporting.handle)
    with application(app) as url:
        body = {"node": "{{ .workflowNodeRun.identifier }}"}
        outcome = port_hook.run_workflow(a_workflow(a_webhook(synchronized=False, body=body)), to=url)
        for thread in reporting.threads:
            thread.join(30)
    node = outcome.nodes["call"]
    assert (outcome.result, node.result, node.output) == (result, result, {"n": 1})
    assert (node.external_run_id, node.link) == ("job-7", ["https://ci.example.com/7"])


async def test_workflows_run_concurrently_in_one_test(port_hook: PortHook, receiver: Handler) -> None:
    flow = a_workflow(a_webhook(body={"x": "{{ .outputs.trigger.action }}"}), trigger="EVENT_TRIGGER")
    outcomes = await asyncio.gather(
        *(port_hook.arun_workflow(flow, to=receiver.url, event={"action": str(number)}) for number in range(5))
    )
    assert {outcome.result for outcome in outcomes} == {"SUCCESS"}
    assert len({outcome.id for outcome in outcomes}) == 5
    assert sorted(json.loads(request.body)["x"] for request in receiver.requests) == ["0", "1", "2", "3", "4"]
