"""The check at the start of a session that the handlers listen, with real ports."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

import pytest

from port_hook_cli.cli.listen_requests import read_routes
from port_hook_cli.invocations.routes import Routes
from port_hook_cli.invocations.targets import parse_target
from port_hook_cli.listener.handler_check import TIMEOUT_S, check_handlers
from tests.sockets import free_port


async def notices_for(routes: Routes, timeout_s: float = TIMEOUT_S) -> list[str]:
    notices: list[str] = []
    await check_handlers(routes, notices.append, timeout_s)
    return notices


async def test_listening_handler_gets_no_request_and_no_notice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert await notices_for(read_routes(url, [f"scale={url}/scale"], "/")) == []
        server.settimeout(30)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b""
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # two targets, one connection
            server.accept()


async def test_each_missing_handler_is_reported_once() -> None:
    port = free_port()
    there = f"http://127.0.0.1:{port}"
    (notice,) = await notices_for(read_routes(there, [f"scale={there}", f"drop={there}"], "/"))
    assert notice == (
        f"Nothing listens on {there} yet: port {port} refuses connections. Start your handler, or correct the target."
    )


async def test_port_with_a_letter_is_reported_as_an_unresolvable_host_name() -> None:
    (notice,) = await notices_for(Routes(default=parse_target("800O.invalid")))
    assert notice.startswith("Nothing listens on http://800O.invalid yet: the host name cannot be resolved.")


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog refuses connections elsewhere")
async def test_handler_is_reported_when_it_accepts_no_connection_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [_fill(full.getsockname()) for _ in range(3)]  # fills the backlog, so that the next connection waits
        notices = await notices_for(Routes(default=f"http://127.0.0.1:{full.getsockname()[1]}"), 0.2)
        for connection in waiting:
            connection.close()
    assert len(notices) == 1
    assert "no connection within 0.2 s" in notices[0]


def _fill(address: tuple[str, int]) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    with suppress(BlockingIOError):
        connection.connect(address)
    return connection
