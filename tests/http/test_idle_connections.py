from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from port_hook_cli.inspector.server import MAX_CONNECTIONS
from port_hook_cli.runtime import Runtime
from tests.factories import an_exchange
from tests.inspectors import keep, over_store
from tests.sandboxes import a_sandbox
from tests.servers import NO_TLS


def idle_connections(stack: ExitStack, port: int, count: int) -> list[socket.socket]:
    return [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


async def test_inspector_answers_while_others_hold_idle_connections(
    runtime: Callable[..., Runtime], folder: Path
) -> None:
    store = folder / "captures.db"
    keep(store, [an_exchange()])
    async with over_store(runtime(), store) as client:
        with ExitStack() as stack:
            await asyncio.to_thread(idle_connections, stack, client.opened.port, MAX_CONNECTIONS + 30)
            assert (await asyncio.wait_for(client.get("/api/session"), 5))["store"]


@pytest.mark.nightly  # the test above checks the same code
def test_sandbox_closes_the_oldest_idle_connections_beyond_its_limit() -> None:
    with a_sandbox() as sandbox, ExitStack() as stack:
        idle = idle_connections(stack, urlsplit(sandbox.url).port or 0, 1_100)
        body = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        answer = httpx.post(f"{sandbox.url}/v1/auth/access_token", json=body, timeout=5, verify=NO_TLS)
        assert answer.status_code == 200
        assert idle[0].recv(1) == b""
