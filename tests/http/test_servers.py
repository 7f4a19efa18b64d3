from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from port_hook_cli.http import servers
from port_hook_cli.http.servers import describe_owner, listening_sockets, serving, stop_accepting
from tests.installed import needs
from tests.sockets import free_port

LISTENER = """
import socket, sys
server = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
needs_lsof = needs("lsof")


@pytest.fixture
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The pid and the port of another process that listens on an address."""
    address = getattr(request, "param", "127.0.0.1")
    command = [sys.executable, "-c", LISTENER, address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate()


@linux_only
@pytest.mark.parametrize("listener", ["127.0.0.1", "::"], indirect=True)
def test_port_owner_shows_another_process_with_its_pid(listener: tuple[int, int]) -> None:
    pid, port = listener
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    assert describe_owner("localhost", port) == f"{name} (pid {pid})"


@linux_only
def test_port_owner_is_this_process_for_overlapping_addresses_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):  # noqa: S104 - the point
            assert (describe_owner(host, port) or "").endswith(f" (pid {os.getpid()})")
        assert describe_owner("127.0.0.2", port) is None
    assert describe_owner("127.0.0.1", free_port()) is None


@linux_only
def test_port_owner_shows_this_process_when_it_closes_a_file_meanwhile() -> None:
    low = os.open(os.devnull, os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.close(low)  # reading the list of open files takes this number, and closes it before the links are read
        described = describe_owner("127.0.0.1", server.getsockname()[1])
    assert described is not None
    assert described.endswith(f" (pid {os.getpid()})")


@needs_lsof
def test_lsof_shows_the_process_without_proc(listener: tuple[int, int]) -> None:
    pid, port = listener
    described = servers.by_lsof(port, os.environ)
    assert described is not None
    assert described.endswith(f" (pid {pid})")
    assert servers.by_lsof(port, {"PATH": "/absent"}) is None
    assert servers.by_lsof(free_port(), os.environ) is None


class _Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def test_connection_accepted_before_the_end_is_served() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Greeting, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        for _ in range(2):  # in the second round, the server accepts the connection
            await asyncio.sleep(0)
        await stop_accepting(server)
        async with asyncio.timeout(10):
            assert await loop.sock_recv(client, 10) == b"hello"


async def test_stopped_server_refuses_connections_and_can_stop_again() -> None:
    server = await asyncio.get_running_loop().create_server(_Greeting, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    for _ in range(2):
        await stop_accepting(server)
        with socket.socket() as client:
            assert client.connect_ex(address) != 0


def test_listening_sockets_accept_at_each_address_of_a_host() -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    opened = listening_sockets("localhost", 0)
    try:
        for each in opened:
            socket.create_connection(each.getsockname()[:2], timeout=10).close()
        assert {each.getsockname()[0] for each in opened} == addresses
    finally:
        for each in opened:
            each.close()


async def test_request_before_the_server_exists_gets_its_response() -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(text="late")

    def make() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/", respond)
        return web.AppRunner(app, access_log=None)

    [opened] = listening_sockets("127.0.0.1", 0)
    with socket.create_connection(opened.getsockname(), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with serving([opened], make, most=10):
            client.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=client)
            assert (await reader.read()).endswith(b"late")
            writer.close()
