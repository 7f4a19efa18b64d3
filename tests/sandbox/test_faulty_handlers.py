"""How runs end when the handler cannot be reached, does not respond, fails, or never stops responding."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from port_hook_cli.engines.renderer import Renderer
from port_hook_cli.sandbox import Sending
from port_hook_cli.workflows.run import WorkflowRun
from tests.sandbox import action_runs
from tests.sandbox.action_runs import Steps, an_action, ended, start
from tests.sandbox.workflow_runs import run_workflow, running, started
from tests.sandboxes import one_node

FAULTS = ("refused", "silent", "endless", "reset", "unavailable")


@asynccontextmanager
async def faulty_handler(fault: str) -> AsyncIterator[str]:
    """Serve a handler that fails on the wire until the end of the block, and yield its URL."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
            if fault == "silent":
                await over.wait()
            elif fault == "endless":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n")
                await writer.drain()
                await over.wait()
            elif fault == "reset":
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
        writer.transport.abort() if fault == "reset" else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if fault == "refused":
        server.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        over.set()
        server.close()


SUMMARIES = {
    "refused": "The webhook could not be invoked: nothing listens on 127.0.0.1:",
    "silent": "The webhook could not be invoked: no response within 0.05 s.",
    "endless": "The webhook could not be invoked: no response within 0.05 s.",
    "reset": "reset the connection before its response was complete.",
    "unavailable": "The webhook responded with 503.",
}
RESPONDED = ("unavailable",)
LATE = ("silent", "endless")
SENDING = {fault: Sending(timeout_s=0.05 if fault in LATE else 10) for fault in FAULTS}


@pytest.mark.parametrize(("fault", "synchronized"), [*((fault, True) for fault in FAULTS), ("unavailable", False)])
async def test_run_ends_as_documented(fault: str, synchronized: bool, steps: Steps) -> None:
    async with faulty_handler(fault) as url:
        action = an_action(url, method={"synchronized": synchronized})
        async with action_runs.running(action, sending=SENDING[fault], on_run=steps) as (sandbox, client):
            run_id = await start(client)
            if fault in RESPONDED and not synchronized:
                await steps.reach("responded")
                run = sandbox.runs[run_id]
                assert (run.report.status, [log["message"] for log in run.logs]) == (
                    "IN_PROGRESS",
                    ["The webhook responded with 503."],
                )
                return
            run = await ended(sandbox, run_id)
    assert run.report.status == "FAILURE"
    assert SUMMARIES[fault] in (run.report.summary or "")
    assert [log["message"] for log in run.logs] == ([] if fault in RESPONDED else [run.report.summary])
    assert (run.invocation.payload or {})["url"] == url


@pytest.mark.parametrize(
    ("fault", "on_timeout"),
    [("silent", "fail"), ("silent", "continue"), ("endless", "continue"), ("refused", "continue"), ("reset", "fail")],
)
async def test_synchronized_node_ends_as_documented(renderer: Renderer, fault: str, on_timeout: str) -> None:
    async with faulty_handler(fault) as url:
        document = one_node(type="WEBHOOK", url=url, onTimeout=on_timeout)
        run, _ = await run_workflow(renderer, document, sending=SENDING[fault])
    node = next(each for each in run.node_runs if each.node == "do")
    if fault in LATE and on_timeout == "continue":
        assert (str(node.result), node.output, str(run.result)) == ("SUCCESS", {"timeout": True}, "SUCCESS")
    else:
        assert (str(node.result), str(run.result)) == ("FAILED", "FAILED")


@pytest.mark.parametrize("fault", ["silent", "refused", "unavailable"])
async def test_asynchronous_node_stays_in_progress_only_after_a_timeout(renderer: Renderer, fault: str) -> None:
    def is_settled(run: WorkflowRun) -> bool:
        return run.result is not None or (run.current is not None and run.current.progress == "waiting")

    async with faulty_handler(fault) as url:
        document = one_node(type="WEBHOOK", url=url, onTimeout="continue", synchronized=False)
        async with running(renderer, document, sending=SENDING[fault]) as (sandbox, client):
            run_id = await started(client)
            run = await asyncio.wait_for(sandbox.wait_for_workflow_run(run_id, is_settled), 10)
    assert (str(run.result) == "FAILED") is (fault not in LATE)
