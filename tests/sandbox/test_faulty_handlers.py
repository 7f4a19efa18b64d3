"""How runs end when the handler cannot be reached, does not respond, fails, or never stops responding."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import RunEvent, Sending
from port_hook_cli.workflows.run import WorkflowRun
from tests.plain_invoker import PlainInvoker
from tests.sandbox.faulty_handlers import FAULTS, faulty_handler
from tests.sandbox.workflow_runs import run_workflow, running, started
from tests.sandbox_clients import a_client
from tests.sandboxes import one_node, sandbox_with

SENDING = Sending(timeout_s=0.5)
SUMMARIES = {
    "refused": "The webhook could not be invoked: nothing listens on 127.0.0.1:",
    "silent": "The webhook could not be invoked: no response within 0.5 s.",
    "endless": "The webhook could not be invoked: no response within 0.5 s.",
    "reset": "reset the connection before its response was complete.",
    "unavailable": "The webhook responded with 503.",
}
RESPONDED = ("unavailable",)
LATE = ("silent", "endless")


@pytest.mark.parametrize("synchronized", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
async def test_run_ends_as_documented(fault: str, synchronized: bool) -> None:
    logged = asyncio.Event()

    def on_run(event: RunEvent) -> None:
        if event.note.startswith("responded"):
            logged.set()

    async with faulty_handler(fault) as url:
        action = create_vm_action()
        action["invocationMethod"] = {"type": "WEBHOOK", "url": url, "synchronized": synchronized}
        options: dict[str, Any] = {"invoker": PlainInvoker(), "sending": SENDING, "on_run": on_run}
        async with sandbox_with(actions=[action], **options) as sandbox, a_client(sandbox) as client:
            response = await client.post("/v1/actions/create_vm/runs", json={"properties": {"title": "x"}})
            run_id = response.json()["run"]["id"]
            if fault in RESPONDED and not synchronized:
                await asyncio.wait_for(logged.wait(), 10)
                run = sandbox.runs[run_id]
                assert (run.report.status, [log["message"] for log in run.logs]) == (
                    "IN_PROGRESS",
                    ["The webhook responded with 503."],
                )
                return
            run = await asyncio.wait_for(sandbox.wait_for_end(run_id), 10)
    assert run.report.status == "FAILURE"
    assert SUMMARIES[fault] in (run.report.summary or "")
    assert [log["message"] for log in run.logs] == ([] if fault in RESPONDED else [run.report.summary])
    assert (run.invocation.payload or {})["url"] == url


@pytest.mark.parametrize("on_timeout", ["fail", "continue"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_synchronized_node_ends_as_documented(renderer: Renderer, fault: str, on_timeout: str) -> None:
    async with faulty_handler(fault) as url:
        document = one_node(type="WEBHOOK", url=url, onTimeout=on_timeout)
        run, _ = await run_workflow(renderer, document, sending=SENDING)
    node = next(each for each in run.node_runs if each.node == "do")
    if fault in LATE and on_timeout == "continue":
        assert (str(node.result), node.output, str(run.result)) == ("SUCCESS", {"timeout": True}, "SUCCESS")
    else:
        assert (str(node.result), str(run.result)) == ("FAILED", "FAILED")


@pytest.mark.parametrize("fault", FAULTS)
async def test_asynchronous_node_waits_for_a_report_only_after_a_timeout(renderer: Renderer, fault: str) -> None:
    def is_settled(run: WorkflowRun) -> bool:
        return run.result is not None or (run.current is not None and run.current.progress == "waiting")

    async with faulty_handler(fault) as url:
        document = one_node(type="WEBHOOK", url=url, onTimeout="continue", synchronized=False)
        async with running(renderer, document, sending=SENDING) as (sandbox, client):
            run_id = await started(client)
            run = await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id, is_settled), 10)
    assert (str(run.result) == "FAILED") is (fault not in LATE)
