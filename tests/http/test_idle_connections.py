from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from aiohttp import web

from port_hook_cli.http.servers import limited
from port_hook_cli.inspector.opening import MAX_CONNECTIONS
from port_hook_cli.runtime import Runtime
from tests.factories import a_capture
from tests.inspectors import keep, over_store
from tests.sandboxes import a_sandbox
from tests.servers import NO_TLS


def idle_connections(stack: ExitStack, port: int, count: int) -> list[socket.socket]:
    """Open `count` connections, which must fit into the server's backlog."""
    return [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


async def test_inspector_responds_while_others_hold_idle_connections(
    runtime: Callable[..., Runtime], folder: Path
) -> None:
    store = folder / "captures.db"
    keep(store, [a_capture()])
    async with over_store(runtime(), store) as client:
        with ExitStack() as stack:
            for _ in range(MAX_CONNECTIONS // 50 + 1):
                await asyncio.to_thread(idle_connections, stack, client.opened.port, 50)
            assert (await asyncio.wait_for(client.get("/api/session"), 5))["store"]


def test_sandbox_closes_the_oldest_idle_connections_beyond_its_limit() -> None:
    with a_sandbox() as sandbox, ExitStack() as stack:
        body = {"clientId": sandbox.client_id, "clientSecret": sandbox.client_secret.reveal()}
        idle: list[socket.socket] = []
        for _ in range(22):
            idle += idle_connections(stack, urlsplit(sandbox.url).port or 0, 50)
            # The response says that the sandbox has accepted them.
            answer = httpx.post(f"{sandbox.url}/v1/auth/access_token", json=body, timeout=30, verify=NO_TLS)
            assert answer.status_code == 200
        assert idle[0].recv(1) == b""


async def test_connection_with_an_unread_response_is_not_closed_for_another_connection() -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 60_000)

    loop, server = asyncio.get_running_loop(), web.Server(answer)
    sockets = await loop.create_server(limited(server, 1), "127.0.0.1", 0)
    place = sockets.sockets[0].getsockname()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        await loop.sock_connect(slow, place)
        count, waiting = 0, 0
        while not waiting:  # until the system stops accepting the responses
            await loop.sock_sendall(slow, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            count += 1
            while server.requests_count < count or server.connections[0]._waiter is None:  # noqa: ASYNC110, SLF001
                await asyncio.sleep(0)
            waiting = server.connections[0].transport.get_write_buffer_size()  # type: ignore[union-attr]
        reader, writer = await asyncio.open_connection(*place)
        assert await asyncio.wait_for(reader.read(), 5) == b""  # there is no room
        writer.close()
        got = 0
        async with asyncio.timeout(5):
            while got < count * 60_000 and (part := await loop.sock_recv(slow, 65_536)):
                got += len(part)
        assert got >= count * 60_000
    sockets.close()
    await server.shutdown(1)
