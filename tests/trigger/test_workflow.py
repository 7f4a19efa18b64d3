"""A workflow's run: what happens on the way, in order, and what nodes get."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.models import Delivery, Invocation, Status
from port_hook_cli.port_api.access import PortAccess
from port_hook_cli.runtime import Runtime
from port_hook_cli.signatures.signing import Signer
from port_hook_cli.signatures.verification import verify_signature
from port_hook_cli.text.remark import Remark, say_nothing
from port_hook_cli.text.secret import Masker
from port_hook_cli.trigger.action import RunTarget
from port_hook_cli.trigger.invoker import Invoker
from port_hook_cli.trigger.records import node_record, step_record
from port_hook_cli.trigger.run_data import RunData
from port_hook_cli.trigger.workflow import Begun, WorkflowEvent, walk_workflow
from port_hook_cli.trigger.workflow_effects import Outside
from port_hook_cli.trigger.workflow_start import WorkflowStart
from port_hook_cli.workflows.run import WorkflowRun
from port_hook_cli.workflows.shown_run import ShownNodeRun
from port_hook_cli.workflows.walk import Step
from port_hook_cli.workflows.workflow import Node, Workflow, read_workflow
from tests.factories import SECRET

KEY = "a-very-secret-value"


class Handler:
    """A recipient that records its requests, and responds with 200 and an empty object."""

    def __init__(self) -> None:
        self.got: list[tuple[Invocation, str]] = []

    async def send(self, invocation: Invocation, url: str, /) -> Delivery:
        self.got.append((invocation, url))
        return Delivery(url=url, status=200, body=b"{}")


def a_workflow(*nodes: Mapping[str, Any], **trigger: Any) -> Workflow:
    config = {"type": "SELF_SERVE_TRIGGER", "permissions": {"roles": ["Admin"]}, **trigger}
    start = {"identifier": "start", "config": config}
    names = ["start", *(node["identifier"] for node in nodes)]
    connections = [{"sourceIdentifier": a, "targetIdentifier": b} for a, b in pairwise(names)]
    return read_workflow({"identifier": "flow", "nodes": [start, *nodes], "connections": connections})


def a_webhook(name: str, **config: Any) -> dict[str, Any]:
    return {"identifier": name, "config": {"type": "WEBHOOK", "url": "http://127.0.0.1:9/", **config}}


async def walked(
    invoker: Invoker, runtime: Runtime, start: WorkflowStart, handler: Handler, **outside: Any
) -> tuple[WorkflowRun, list[WorkflowEvent]]:
    events: list[WorkflowEvent] = []
    access = PortAccess(runtime, say_nothing)
    given = {"runtime": runtime, "access": access, "recipient": handler, "signer": lambda: Signer(SECRET)}
    return await walk_workflow(start, Outside(**{**given, **outside}), invoker, events.append), events


async def test_events_are_unchecked_parts_then_the_start_then_each_step(
    invoker: Invoker, runtime: Callable[..., Runtime]
) -> None:
    flow, handler = a_workflow(a_webhook("a", url="<URL>"), a_webhook("b", body={"n": "{{ .outputs.a }}"})), Handler()
    target = RunTarget(to="http://127.0.0.1:9/x")
    run, events = await walked(invoker, runtime(), WorkflowStart(workflow=flow), handler, target=target)
    assert [type(event) for event in events[:3]] == [Remark, Remark, Begun]
    assert "a's URL is <URL>" in str(events[0])
    assert "`permissions` are not checked" in str(events[1])
    steps = [(event.node.identifier, event.is_begun) for event in events if isinstance(event, Step)]
    assert steps == [("a", True), ("a", False), ("b", True), ("b", False)]
    assert {event.url for event in events if isinstance(event, Step)} == {"http://127.0.0.1:9/x"}
    assert run.status == "COMPLETED"
    for invocation, _ in handler.got:
        now = float(invocation.headers.get("x-port-timestamp") or 0)
        assert verify_signature(invocation.headers, invocation.body, SECRET, now=now).status is Status.VALID


async def test_single_node_runs_over_given_outputs_without_later_nodes(
    invoker: Invoker, runtime: Callable[..., Runtime]
) -> None:
    flow = a_workflow(a_webhook("a"), a_webhook("b", body={"n": "{{ .outputs.a.n }}"}), a_webhook("c"))
    handler = Handler()
    start = WorkflowStart(workflow=flow, node="b", outputs={"a": {"n": 1}, "b": {"n": 2}})
    run, events = await walked(invoker, runtime(), start, handler)
    assert [json.loads(invocation.body) for invocation, _ in handler.got] == [{"n": 1}]
    assert [each.node for each in run.node_runs] == ["start", "a", "b"]
    (begun,) = [event for event in events if isinstance(event, Begun)]
    assert [each.result for each in begun.run.node_runs] == ["SUCCESS", "SUCCESS", None]


async def test_single_node_gets_a_note_about_each_missing_output(
    invoker: Invoker, runtime: Callable[..., Runtime]
) -> None:
    flow = a_workflow(a_webhook("think"), a_webhook("call", body={"said": "{{ .outputs.think.response.text }}"}))
    for outputs, notes in (({}, 1), ({"think": {"response": {"text": "a"}}}, 0)):
        start = WorkflowStart(workflow=flow, node="call", outputs=outputs)
        _, events = await walked(invoker, runtime(), start, Handler())
        said = [event.line for event in events if isinstance(event, Remark)]
        assert sum("the node call reads null instead of the missing output of think." in line for line in said) == notes


async def test_entity_inputs_of_a_workflow_are_identifiers(invoker: Invoker, runtime: Callable[..., Runtime]) -> None:
    service = {"type": "string", "format": "entity", "blueprint": "service"}
    form = {"service": service, "others": {"type": "array", "items": service}}
    node = a_webhook("a", body={"one": "{{ .outputs.trigger.service }}", "all": "{{ .outputs.trigger.others }}"})
    given = {"service": {"identifier": "cart", "title": "Cart"}, "others": ["web", {"identifier": "cart"}]}
    handler, data = Handler(), RunData(properties=given)
    flow = a_workflow(node, userInputs={"properties": form})
    await walked(invoker, runtime(), WorkflowStart(workflow=flow, data=data), handler)
    assert json.loads(handler.got[0][0].body) == {"one": "cart", "all": ["web", "cart"]}


async def test_secrets_are_masked_in_errors_remarks_and_records(
    invoker: Invoker, runtime: Callable[..., Runtime]
) -> None:
    node = {**a_webhook("a", url="http://127.0.0.1:9/{{ .secrets.KEY }}", headers={"x": "{{ .secrets.KEY }}é"}),
            "variables": {"said": "{{ .secrets.KEY }}", "no": "{{ .secrets.KEY.x }}"}}  # fmt: skip
    data, handler = RunData(secrets={"KEY": KEY}), Handler()
    start = WorkflowStart(workflow=a_workflow(node), data=data)
    _, events = await walked(invoker, runtime(), start, handler)
    assert handler.got[0][1].endswith(KEY)
    said = [
        event.line if isinstance(event, Remark) else json.dumps(step_record(event, start.masker))
        for event in events
        if not isinstance(event, Begun)
    ]
    assert KEY not in "".join(said)
    assert "***" in said[-1]
    elsewhere = WorkflowStart(workflow=a_workflow(a_webhook("a", url="https://{{ .secrets.KEY }}.example")), data=data)
    with pytest.raises(UsageError, match=r"The node a's URL is https://\*\*\*\.example, which is not on this machine"):
        await walked(invoker, runtime(), elsewhere, handler)


@pytest.mark.parametrize(("node", "type_"), [("a", "WEBHOOK"), ("deleted-since", None)])
def test_node_run_that_port_shows_without_a_type_has_the_type_of_its_node(node: str, type_: str | None) -> None:
    record = node_record(a_workflow(a_webhook("a")), "wfr_1", ShownNodeRun(id="wfnr_1", node=node), Masker(()))
    assert (record["node"], record["node_type"]) == (node, type_)


async def test_input_node_takes_the_given_response_or_asks_the_user(
    invoker: Invoker, runtime: Callable[..., Runtime]
) -> None:
    outlets = [{"identifier": "approve"}, {"identifier": "decline"}]
    form = {"properties": {"reason": {"type": "string", "default": "{{ .outputs.trigger.version }} is tested"}}}
    config = {"type": "INPUT", "description": "Ship {{ .outputs.trigger.version }}?", "userInputs": form}
    inputs = {"properties": {"version": {"type": "string", "default": "2.0"}}}
    flow = a_workflow({"identifier": "ok", "config": {**config, "outlets": outlets}}, userInputs=inputs)
    start = WorkflowStart(workflow=flow)

    async def ask(node: Node) -> str:
        return node.outlets[1].identifier

    waiting, events = await walked(invoker, runtime(), start, Handler())
    given, known = await walked(invoker, runtime(), start, Handler(), responses={"ok": "approve"}, ask=ask)
    asked, _ = await walked(invoker, runtime(), start, Handler(), ask=ask)
    assert waiting.current is not None
    assert "note: ok asks: Ship 2.0?" in [event.line for event in events if isinstance(event, Remark)]
    assert not [event for event in known if isinstance(event, Remark) and "asks" in event.line]
    assert [run.node_runs[-1].outlet for run in (given, asked)] == ["approve", "decline"]
    (response,) = given.node_runs[-1].output["responses"]
    assert response["inputs"] == {"reason": "2.0 is tested"}
    assert response["submitterInfo"] == {"submittedBy": given.by["email"]}
    with pytest.raises(UsageError, match=r"has no outlet maybe\. It has: approve, decline"):
        await walked(invoker, runtime(), start, Handler(), responses={"ok": "maybe"})


async def test_node_that_only_port_runs_fails_unless_its_output_is_given(
    invoker: Invoker, runtime: Callable[..., Runtime]
) -> None:
    flow = a_workflow({"identifier": "sum", "config": {"type": "AI_AGENT"}}, a_webhook("b"))
    failed, _ = await walked(invoker, runtime(), WorkflowStart(workflow=flow), handler := Handler())
    message = "port-hook does not run AI_AGENT nodes. Pass its output with --output sum=JSON."
    assert (failed.result, failed.node_runs[-1].output) == ("FAILED", {"error": {"message": message}})
    assert handler.got == []
    given = WorkflowStart(workflow=flow, outputs={"sum": {"response": "ok"}})
    assert (await walked(invoker, runtime(), given, handler))[0].result == "SUCCESS"
