"""Hostile handlers: neither the listener nor a replay reads more from them than its limits."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.http.client import HttpClient
from port_hook_cli.http.response_body import SHOWN_BYTES
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery
from tests.conftest import Run
from tests.factories import SECRET, a_body, a_capture, an_invocation, signed
from tests.hostile.hostile_api import bomb, gzip_bomb, gzip_bomb_in_gzip
from tests.hostile.hostile_handler import hostile_handler, never_silent, ok
from tests.hostile.wire import (
    SOCKET_BUFFERS,
    HostileServer,
    Trick,
    endless_body,
    reset_midway,
    switch_protocols,
)
from tests.plain_invoker import PlainInvoker
from tests.processes import listener
from tests.sandbox_clients import a_client
from tests.sandboxes import sandbox_with

MIB = 2**20
ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}


async def forward(server: HostileServer, *, timeout_s: float = 5, max_response: int = MIB) -> Delivery:
    async with HttpClient(timeout_s=timeout_s, max_response=max_response, whole_body=True) as client:
        return await client.send(an_invocation(b"{}"), server.url)


async def send(server: HostileServer, *, timeout_s: float = 5, max_response: int = MIB) -> Delivery:
    async with HttpClient(timeout_s=timeout_s, max_response=max_response) as client:
        return await client.send(an_invocation(b"{}"), server.url)


async def test_forwarder_disconnects_on_an_unreadable_response() -> None:
    async with HostileServer(switch_protocols).serve() as server, asyncio.timeout(30):
        delivery = await forward(server, timeout_s=0)
        await server.hung_up.wait()
    assert (delivery.status, delivery.fault) == (None, "broken")
    assert server.sent < SOCKET_BUFFERS


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, None)])
async def test_forwarder_passes_on_a_response_up_to_the_limit(size: int, status: int | None) -> None:
    async with HostileServer(lambda connection: connection.answer(b"x" * size)).serve() as server:
        delivery = await forward(server, max_response=1000)
    assert delivery.status == status
    assert len(delivery.body) == (size if status else 0)


async def test_forwarder_disconnects_from_a_handler_sending_unrequested_data() -> None:
    async with HostileServer(never_silent).serve() as server, asyncio.timeout(30):
        async with HttpClient(timeout_s=30) as client:
            assert (await client.send(an_invocation(b"{}"), server.url)).body == b"ok"
            await server.hung_up.wait()
        assert server.sent < SOCKET_BUFFERS


async def test_connection_reset_midway_is_a_broken_response() -> None:
    async with HostileServer(reset_midway).serve() as server:
        assert ((await forward(server)).fault, (await send(server)).fault) == ("broken", "broken")


@pytest.mark.parametrize("trick", [gzip_bomb, gzip_bomb_in_gzip])
async def test_replay_decompresses_only_the_shown_part(trick: Trick) -> None:
    bomb()  # creating it also uses memory
    async with HostileServer(trick).serve() as server:
        tracemalloc.start()
        try:
            delivery = await send(server)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert delivery.status == 200
    assert len(delivery.body) <= SHOWN_BYTES
    assert peak < 16 * MIB


def test_listener_responds_502_when_a_response_is_too_large_and_continues(tmp_path: Path) -> None:
    body = a_body()
    with (
        hostile_handler(endless_body) as handler,
        listener(tmp_path, "--forward-to", handler.url, "--tolerance", "1e12") as listening,
    ):
        status, answer = listening.post(body, signed(body))
        record = listening.record()
        again, _ = listening.post(body, signed(body))
    assert (status, again) == (502, 502)
    assert json.loads(answer)["error"] == "too-large"
    assert json.loads(answer)["message"] == "the response is larger than 32 MiB"
    assert record["delivery"]["error"] == json.loads(answer)["message"]


def test_replay_reports_a_large_response_and_exits_1(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    with hostile_handler(endless_body) as handler:
        result = run("replay", "payload.json", "--to", handler.url, env=ENV)
    assert (result.code, result.out) == (1, "")
    assert "error: the response is larger than 32 MiB" in result.err
    assert "hint: Return a smaller response." in result.err
    assert handler.sent < 32 * MIB + SOCKET_BUFFERS


def test_trigger_disconnects_on_an_endless_body(run: Run, folder: Path) -> None:
    with hostile_handler(endless_body) as handler:
        (folder / "action.json").write_text(json.dumps(_create_vm_at(handler.url)))
        result = run("trigger", "action.json", "--input", "title=a", "--to-its-url", env=ENV)
    assert result.code == 1
    assert "the response is larger than 32 MiB" in result.out
    assert handler.sent < 32 * MIB + SOCKET_BUFFERS


@pytest.mark.parametrize("options", [(), ("--as-captured",)])
def test_replay_reports_a_non_ascii_method(run: Run, folder: Path, options: tuple[str, ...]) -> None:
    invocation = an_invocation(method="P\xd6ST", headers=Headers((*signed(a_body()), ("x", "y"))))
    with open_store(None, folder, create=True) as store:
        store.add([a_capture(invocation)])
    with hostile_handler(ok) as handler:
        result = run("replay", "last", "--to", handler.url, *options, env=ENV)
    assert result.code == 1
    assert "the method 'P\\xd6ST' has non-ASCII characters" in result.err
    assert handler.requests == []


def _create_vm_at(url: str) -> dict[str, Any]:
    action = create_vm_action()
    return {**action, "invocationMethod": {**action["invocationMethod"], "url": url, "synchronized": True}}


async def _run_in_sandbox(trick: Trick) -> dict[str, Any]:
    """Run an action of a sandbox whose handler responds with `trick`. Return the run from the sandbox's API."""
    async with (
        HostileServer(trick).serve() as handler,
        sandbox_with(actions=[_create_vm_at(handler.url)], invoker=PlainInvoker()) as sandbox,
        a_client(sandbox) as client,
    ):
        inputs = {"properties": {"title": "dev-env", "cpu": 2}}
        started = (await client.post("/v1/actions/create_vm/runs", json=inputs)).json()["run"]["id"]
        await asyncio.wait_for(sandbox.wait_for_end(started), 10)
        shown = await client.get(f"/v1/actions/runs/{started}", params={"version": "v2"})
        run: dict[str, Any] = shown.json()["run"]
        return run


async def test_sandbox_fails_a_run_with_a_large_response() -> None:
    run = await _run_in_sandbox(endless_body)
    assert run["status"] == "FAILURE"
    assert run["summary"] == "The webhook could not be invoked: the response is larger than 32 MiB."


async def test_sandbox_treats_deeply_nested_json_as_text() -> None:
    depth = 940
    text = b"[" * depth + b"]" * depth
    run = await _run_in_sandbox(lambda connection: connection.answer(text))
    assert (run["status"], run["response"]) == ("SUCCESS", text.decode())
