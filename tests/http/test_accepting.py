"""A server that stops accepting connections."""

from __future__ import annotations

import asyncio
import socket

from port_hook_cli.http.servers import stop_accepting


class _Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def test_a_connection_accepted_right_before_the_end_is_served() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Greeting, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        for _ in range(2):  # in the second round, the server accepts the connection
            await asyncio.sleep(0)
        await stop_accepting(server)
        async with asyncio.timeout(10):
            assert await loop.sock_recv(client, 10) == b"hello"


async def test_a_server_that_has_stopped_refuses_connections_and_can_stop_again() -> None:
    server = await asyncio.get_running_loop().create_server(_Greeting, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    for _ in range(2):
        await stop_accepting(server)
        with socket.socket() as client:
            assert client.connect_ex(address) != 0
