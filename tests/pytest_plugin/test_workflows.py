"""Whole workflows and single nodes through the fixtures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.pytest_plugin import PortHook, PortSandbox, WorkflowNotEnded
from tests.servers import Handler, handler

READY = b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"ready":true}'
OUTLETS = [{"identifier": "approve"}, {"identifier": "decline"}]


@pytest.fixture
def backend() -> Iterator[Handler]:
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


def test_nodes_have_their_own_routes_and_given_outputs_do_not_run(port_hook: PortHook, backend: Handler) -> None:
    body = {"ready": "{{ .outputs.given.ready }}"}
    flow = a_workflow(a_webhook("given"), a_webhook("called", body=body))
    outcome = port_hook.run_workflow(
        flow, routes={"called": f"{backend.url}/mine"}, outputs={"given": {"ready": "yes"}}
    )
    assert (outcome.result, outcome.nodes["given"].output) == ("SUCCESS", {"ready": "yes"})
    (request,) = backend.requests
    assert request.line == "POST /mine HTTP/1.1"
    assert json.loads(request.body) == {"ready": "yes"}


def test_an_event_trigger_gets_its_event(port_hook: PortHook, backend: Handler) -> None:
    flow = a_workflow(a_webhook(body={"x": "{{ .outputs.trigger.diff.after }}"}), trigger="EVENT_TRIGGER")
    with pytest.raises(UsageError, match="needs an event"):
        port_hook.run_workflow(flow, to=backend.url)
    assert port_hook.run_workflow(flow, to=backend.url, event={"diff": {"after": 2}}).result == "SUCCESS"
    assert json.loads(backend.requests[-1].body) == {"x": 2}


def test_an_input_node_takes_the_outlet_of_its_response(port_hook: PortHook, backend: Handler) -> None:
    ask = {"identifier": "ask", "config": {"type": "INPUT", "outlets": OUTLETS}}
    flow = a_workflow(ask, a_webhook(), outlet="approve")
    approved = port_hook.run_workflow(flow, to=backend.url, responses={"ask": "approve"})
    assert (approved.result, approved.nodes["ask"].outlet, "call" in approved.nodes) == ("SUCCESS", "approve", True)
    declined = port_hook.run_workflow(flow, to=backend.url, responses={"ask": "decline"})
    assert (declined.result, "call" in declined.nodes) == ("SUCCESS", False)
    with pytest.raises(WorkflowNotEnded, match="ask"):
        port_hook.run_workflow(flow, to=backend.url)


def test_an_asynchronous_node_that_is_not_reported_raises_with_what_was_sent(
    port_hook: PortHook, backend: Handler, tmp_path: Path
) -> None:
    flow = a_workflow(a_webhook(synchronized=False))
    with pytest.raises(WorkflowNotEnded, match="call") as caught:
        port_hook.run_workflow(flow, to=backend.url, timeout_s=0.3)
    assert (caught.value.outcome.status, caught.value.outcome.result) == ("IN_PROGRESS", None)
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(flow), "utf-8")
    with pytest.raises(WorkflowNotEnded):
        port_hook.invoke(f"{file}#call", to=backend.url, timeout_s=0.3)


def test_an_entity_is_saved_in_the_sandbox_of_the_test(port_hook: PortHook, port_sandbox: PortSandbox) -> None:
    mapping = {"identifier": "vm1", "properties": {"cpu": 2}}
    put = {"identifier": "put", "config": {"type": "UPSERT_ENTITY", "blueprintIdentifier": "vm", "mapping": mapping}}
    outcome = port_hook.run_workflow(a_workflow(put))
    assert outcome.result == "SUCCESS"
    assert outcome.nodes["put"].output == {"entity": {**mapping, "blueprint": "vm", "relations": {}}}


async def test_a_workflow_runs_in_the_event_loop_of_an_asynchronous_test(port_hook: PortHook, backend: Handler) -> None:
    outcome = await port_hook.arun_workflow(a_workflow(a_webhook()), to=backend.url)
    assert outcome.nodes["call"].output == {"response": {"status": 200, "data": {"ready": True}}}


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ({"identifier": "x", "nodes": []}, "has no `nodes`"),
        (a_workflow({"identifier": "start2", "config": {"type": "SCHEDULE_TRIGGER"}}), "connection to its trigger"),
    ],
)
def test_a_workflow_that_port_would_refuse_is_refused(port_hook: PortHook, flow: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        port_hook.run_workflow(flow)
