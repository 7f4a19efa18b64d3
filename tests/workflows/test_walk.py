"""Runs walked with the real jq. A small fake of everything outside records its calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from port_hook_cli.actions.request import RenderedRequest
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.workflows.nodes import NodeOutcome, NodeResult
from port_hook_cli.workflows.run import (
    NodeRun,
    Progress,
    WorkflowRun,
    cancel,
    restored,
    restored_node_run,
    saved,
    saved_node_run,
    start,
)
from port_hook_cli.workflows.walk import Resolution, Step, walk
from port_hook_cli.workflows.workflow import Node, read_workflow

AT = "2026-01-02T03:04:05.000Z"
BY = {"email": "zoe@example.com", "firstName": "Zoë", "lastName": "Doe"}
DEPLOY: dict[str, Any] = {
    "identifier": "deploy",
    "nodes": [
        {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
        {
            "identifier": "check",
            "config": {
                "type": "WEBHOOK",
                "url": "https://hooks.example.com/{{ .outputs.trigger.service }}",
                "headers": {"X-Key": "{{ .secrets.HOOK }}"},
                "body": {"service": "{{ .outputs.trigger.service }}", "node": "{{ .workflowNodeRun.identifier }}"},
            },
        },
        {
            "identifier": "is_ready",
            "config": {
                "type": "CONDITION",
                "outlets": [{"identifier": "ready", "expression": ".outputs.check.response.data.ready == true"}],
            },
        },
        {
            "identifier": "ship",
            "links": ["https://ci.example.com/{{ .result.id }}"],
            "variables": {"id": "{{ .result.id }}"},
            "config": {
                "type": "WEBHOOK",
                "url": "https://hooks.example.com/ship",
                "synchronized": False,
                "body": {"run": "{{ .workflowRun.identifier }}", "by": "{{ .workflowRun.trigger.by.email }}"},
            },
        },
    ],
    "connections": [
        {"sourceIdentifier": "start", "targetIdentifier": "check"},
        {"sourceIdentifier": "check", "targetIdentifier": "is_ready"},
        {"sourceIdentifier": "is_ready", "targetIdentifier": "ship", "sourceOutletIdentifier": "ready"},
    ],
}


@dataclass
class Outside:
    """Responds to requests with `handlers`, and to other nodes with `resolutions`, both by node."""

    handlers: Mapping[str, Callable[[RenderedRequest], Delivery]] = field(default_factory=dict)
    resolutions: Mapping[str, Resolution | None] = field(default_factory=dict)
    reports: dict[str, NodeOutcome] = field(default_factory=dict)
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=lambda: {"HOOK": "s3cret"})
    sent: list[tuple[str, RenderedRequest]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    has_agent: bool = True
    publishes: bool = False

    def now(self) -> str:
        return AT

    def new_node_run_id(self) -> str:
        return f"wfnr_{next(self.numbers):016d}"

    def given_output(self, node: Node) -> Mapping[str, Any] | None:
        return self.given.get(node.identifier)

    async def send(self, run: WorkflowRun, node: Node, request: RenderedRequest) -> Delivery | None:
        self.sent.append((node.identifier, request))
        if request.agent:
            return None
        handler = self.handlers.get(node.identifier)
        return Delivery(url=request.url, status=200) if handler is None else handler(request)

    async def resolve(self, run: WorkflowRun, node: Node, config: Mapping[str, Any]) -> Resolution | None:
        return self.resolutions.get(node.identifier)

    async def reported(self, run: WorkflowRun, node_run: NodeRun) -> NodeOutcome | None:
        return self.reports.get(node_run.node)

    async def observe(self, step: Step) -> None:
        self.steps.append(step)


def answering(status: int, body: Any = None) -> Callable[[RenderedRequest], Delivery]:
    return lambda request: Delivery(url=request.url, status=status, body=json.dumps(body).encode())


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer() as made:
        yield made


def begun(document: Mapping[str, Any], outside: Outside, output: Mapping[str, Any] | None = None) -> WorkflowRun:
    workflow = read_workflow(document)
    return start(
        workflow,
        workflow.trigger(),
        output=output or {"service": "cart"},
        run_id="wfr_aaaaaaaaaaaaaaaa",
        node_run_id=outside.new_node_run_id(),
        next_id=outside.new_node_run_id(),
        at=AT,
        by=BY,
    )


def one_node(kind: str = "WEBHOOK", **config: Any) -> dict[str, Any]:
    url = {"url": "https://hooks.example.com/do"} if kind == "WEBHOOK" else {}
    return {
        "identifier": "one",
        "nodes": [
            {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
            {"identifier": "do", "config": {"type": kind, **url, **config}},
            {"identifier": "after", "config": {"type": "WEBHOOK", "url": "https://hooks.example.com/after"}},
        ],
        "connections": [
            {"sourceIdentifier": "start", "targetIdentifier": "do"},
            {"sourceIdentifier": "do", "targetIdentifier": "after"},
        ],
    }


def walked(document: Mapping[str, Any], renderer: Renderer, outside: Outside) -> WorkflowRun:
    return asyncio.run(walk(begun(document, outside), renderer, outside))


def test_run_follows_its_nodes_until_an_asynchronous_node_is_in_progress(renderer: Renderer) -> None:
    outside = Outside(handlers={"check": answering(200, {"ready": True}), "ship": answering(202)})
    run = walked(DEPLOY, renderer, outside)
    check, ship = [request for _, request in outside.sent]
    assert check.url == "https://hooks.example.com/cart"
    assert dict(check.headers)["X-Key"] == "s3cret"
    assert check.content == b'{"service":"cart","node":"wfnr_0000000000000002"}'
    assert ship.content == b'{"run":"wfr_aaaaaaaaaaaaaaaa","by":"zoe@example.com"}'
    assert [(each.node, each.result) for each in run.node_runs] == [
        ("start", "SUCCESS"),
        ("check", "SUCCESS"),
        ("is_ready", "SUCCESS"),
        ("ship", None),
    ]
    outside.reports["ship"] = NodeOutcome(result=NodeResult.SUCCESS, output={"id": 7})
    ended = asyncio.run(walk(run, renderer, outside))
    assert (ended.status, ended.result) == ("COMPLETED", "SUCCESS")
    assert ended.node_runs[-1].output == {"id": 7}
    assert ended.node_runs[-1].links == ("https://ci.example.com/7",)
    assert len(outside.sent) == 2


def test_run_succeeds_when_its_branch_has_no_connection(renderer: Renderer) -> None:
    run = walked(DEPLOY, renderer, Outside(handlers={"check": answering(200, {"ready": False})}))
    assert (run.result, run.node_runs[-1].node) == ("SUCCESS", "is_ready")


def test_restored_run_does_not_send_a_request_twice(renderer: Renderer) -> None:
    first = Outside(handlers={"check": answering(200, {"ready": True}), "ship": answering(202)})
    waiting = walked(DEPLOY, renderer, first)
    run, nodes = json.loads(json.dumps([saved(waiting), [saved_node_run(each) for each in waiting.node_runs]]))
    kept = restored(run, read_workflow(DEPLOY), map(restored_node_run, nodes))
    assert kept == waiting
    second = Outside(reports={"ship": NodeOutcome(result=NodeResult.FAILED, output={})})
    ended = asyncio.run(walk(kept, renderer, second))
    assert (ended.result, second.sent) == ("FAILED", [])


def test_request_in_progress_when_the_process_ended_is_not_sent_again(renderer: Renderer) -> None:
    outside = Outside()
    walked(one_node(), renderer, outside)
    under_way = next(step.run for step in outside.steps if step.node_run.progress is Progress.SENDING)
    later = Outside()
    ended = asyncio.run(walk(under_way, renderer, later))
    assert (ended.result, later.sent) == ("FAILED", [])
    assert "The request may have arrived" in ended.node_runs[-1].output["error"]["message"]


def test_failed_node_ends_its_run_unless_it_continues_on_failure(renderer: Renderer) -> None:
    for status in (301, 500):
        run = walked(one_node(), renderer, Outside(handlers={"do": answering(status)}))
        assert run.result == "FAILED"
        assert run.node_runs[-1].output == {"error": {"message": f"The webhook responded with status {status}."}}
    outside = Outside(handlers={"do": answering(500)})
    run = walked(one_node(onFailure="continue"), renderer, outside)
    assert [(each.node, each.result) for each in run.node_runs[1:]] == [("do", "FAILED"), ("after", "SUCCESS")]
    assert run.result == "SUCCESS"


def test_on_timeout_determines_the_result_of_a_timeout(renderer: Renderer) -> None:
    rows: list[tuple[Any, Any, Any]] = [
        ({}, "FAILED", {"error": {"message": "No response within 1 s."}}),
        ({"onTimeout": "continue"}, "SUCCESS", {"timeout": True}),
        ({"onTimeout": "continue", "synchronized": False}, None, {}),
    ]
    late = Delivery(url="https://hooks.example.com/do", fault="timeout", error="No response within 1 s.")
    for config, result, output in rows:
        run = walked(one_node(**config), renderer, Outside(handlers={"do": lambda _: late}))
        node_run = run.node_runs[1]
        assert (node_run.result, node_run.output) == (result, output)


def test_variables_replace_the_output_of_a_node(renderer: Renderer) -> None:
    document = one_node()
    document["nodes"][1]["variables"] = {"size": "{{ .result.response.data | length }}"}
    run = walked(document, renderer, Outside(handlers={"do": answering(200, [1, 2, 3])}))
    assert run.node_runs[1].output == {"size": 3}


def test_run_fails_when_the_expression_of_a_condition_fails(renderer: Renderer) -> None:
    document = one_node("CONDITION", outlets=[{"identifier": "yes", "expression": ".outputs.trigger.service / 2"}])
    run = walked(document, renderer, Outside())
    assert run.result == "FAILED"
    assert "The expression of the outlet yes of do failed" in run.node_runs[-1].output["error"]["message"]


def test_input_node_waits_and_then_follows_the_selected_outlet(renderer: Renderer) -> None:
    document = one_node("INPUT", outlets=[{"identifier": "approve"}, {"identifier": "decline"}])
    document["connections"][1]["sourceOutletIdentifier"] = "approve"
    waiting = walked(document, renderer, Outside())
    assert waiting.result is None
    config = {"userInputs": {"properties": {"reason": {"default": "ok"}, "n": {}}}}
    chosen = Resolution.chosen("approve", config, [{"buttonIdentifier": "approve", "inputs": {"n": 1}}])
    run = asyncio.run(walk(waiting, renderer, Outside(resolutions={"do": chosen})))
    assert [each.node for each in run.node_runs] == ["start", "do", "after"]
    responses = [{"buttonIdentifier": "approve", "inputs": {"reason": "ok", "n": 1}}]
    assert run.node_runs[1].output == {"selectedOutlet": {"identifier": "approve"}, "responses": responses}


def test_link_whose_expression_fails_or_that_is_not_a_url_is_skipped(renderer: Renderer) -> None:
    document = one_node()
    links = [
        "https://ci.example.com/{{ .outputs.start.service }}",
        "https://{{ .workflow.identifier | tonumber }}/",
        "{{ .result }}",
    ]
    document["nodes"][1]["links"] = links
    outside = Outside()
    run = walked(document, renderer, outside)
    assert run.node_runs[1].links == ("https://ci.example.com/cart",)
    remarks = [remark for step in outside.steps for remark in step.remarks]
    assert remarks == [f"Port skips the link {link}" for link in links[1:]]


def test_node_with_a_given_output_does_not_run(renderer: Renderer) -> None:
    outside = Outside(given={"do": {"response": {"status": 200, "data": "made up"}}})
    run = walked(one_node(), renderer, outside)
    assert [name for name, _ in outside.sent] == ["after"]
    assert run.node_runs[1].output == {"response": {"status": 200, "data": "made up"}}


def test_agent_node_waits_and_is_canceled_together_with_its_run(renderer: Renderer) -> None:
    run = walked(one_node(agent=True), renderer, Outside())
    assert run.current is not None
    assert (run.current.node, run.current.progress) == ("do", Progress.WAITING)

    run = cancel(walked(one_node(agent=True), renderer, Outside()), at=AT)
    assert (run.result, run.node_runs[-1].result) == ("CANCELLED", "CANCELLED")
    assert asyncio.run(walk(run, renderer, Outside())) == run


def test_failed_expression_becomes_null_and_is_reported(renderer: Renderer) -> None:
    outside = Outside()
    walked(one_node(body={"n": "{{ .outputs.trigger.service / 2 }}"}), renderer, outside)
    assert outside.sent[0][1].content == b'{"n":null}'
    assert [error.expression.strip() for step in outside.steps for error in step.errors] == [
        ".outputs.trigger.service / 2"
    ]


PUBLISHED = Resolution(outcome=NodeOutcome(result=None, remarks=("published",)))


def test_kafka_node_is_published_once_and_stays_in_progress_until_it_is_reported(renderer: Renderer) -> None:
    outside = Outside(publishes=True, resolutions={"do": PUBLISHED})
    run = walked(one_node("KAFKA", payload={"n": 1}), renderer, outside)
    assert [step.node_run.progress for step in outside.steps[-2:]] == [Progress.SENDING, Progress.WAITING]
    assert outside.steps[-1].remarks == ("published",)
    outside.resolutions = {}  # a second publication would end the node
    assert asyncio.run(walk(run, renderer, outside)) == run
    outside.reports["do"] = NodeOutcome(result=NodeResult.SUCCESS, output={"ok": True})
    ended = asyncio.run(walk(run, renderer, outside))
    assert (ended.result, ended.node_runs[1].output) == ("SUCCESS", {"ok": True})


def test_published_kafka_node_still_waits_without_a_publisher(renderer: Renderer) -> None:
    run = walked(one_node("KAFKA"), renderer, Outside(publishes=True, resolutions={"do": PUBLISHED}))
    elsewhere = Outside(resolutions={"do": Resolution(outcome=NodeOutcome(result=NodeResult.SUCCESS))})
    assert asyncio.run(walk(run, renderer, elsewhere)) == run


def test_kafka_node_is_not_published_again_after_an_interrupted_publication(renderer: Renderer) -> None:
    outside = Outside(publishes=True, resolutions={"do": PUBLISHED})
    walked(one_node("KAFKA"), renderer, outside)
    cut_off = next(step.run for step in outside.steps if step.node_run.progress is Progress.SENDING)
    again = Outside(publishes=True)
    run = asyncio.run(walk(cut_off, renderer, again))
    assert (run.result, again.steps[-1].node_run.progress) == (None, Progress.WAITING)
    assert "The request may have arrived" in again.steps[-1].remarks[0]


def test_node_published_for_the_agent_stays_in_progress_until_it_is_reported(renderer: Renderer) -> None:
    outside = Outside(has_agent=False)
    run = walked(one_node(agent=True), renderer, outside)
    assert (outside.steps[-1].node_run.progress, outside.steps[-1].request) == (Progress.WAITING, outside.sent[0][1])
    outside.reports["do"] = NodeOutcome(result=NodeResult.SUCCESS)
    assert asyncio.run(walk(run, renderer, outside)).result == "SUCCESS"
