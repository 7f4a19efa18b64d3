"""The handler is tried over IPv4 and IPv6, without a request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from port_hook_cli.doctor.check import CheckState
from port_hook_cli.doctor.handler import check_handler
from tests.servers import open_port


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextmanager
def server(host: str) -> Iterator[int]:
    """A port on a single address."""
    with open_port(host) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_handler_on_ipv4_is_reached_by_address_and_by_name(host: str) -> None:
    with server("127.0.0.1") as port:
        result = await check_handler(f"http://{host}:{port}/hook", is_chosen=True)
    assert result.state is CheckState.OK
    assert result.message == f"http://{host}:{port} accepts connections over IPv4."
    assert result.details == {"target": f"http://{host}:{port}/hook", "ipv4": True, "ipv6": False}


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
async def test_handler_only_on_ipv6_is_a_problem_for_an_ipv4_target() -> None:
    with server("::1") as port:
        result = await check_handler(f"http://127.0.0.1:{port}", is_chosen=False)
        by_name = await check_handler(f"http://localhost:{port}", is_chosen=False)
    assert result.state is CheckState.PROBLEM
    assert result.next_step == f"A program listens on ::1 at this port. Forward to http://[::1]:{port}."
    assert by_name.state is CheckState.OK
    assert by_name.message.endswith("over IPv6.")


async def test_handler_only_on_ipv4_is_a_problem_for_an_ipv6_target() -> None:
    with server("127.0.0.1") as port:
        result = await check_handler(f"http://[::1]:{port}", is_chosen=False)
    assert result.state is CheckState.PROBLEM
    assert f"Forward to http://127.0.0.1:{port}" in result.next_step


@pytest.mark.parametrize(("is_chosen", "state"), [(True, CheckState.PROBLEM), (False, CheckState.WARNING)])
async def test_stopped_handler_is_a_problem_only_if_the_user_passed_it(is_chosen: bool, state: CheckState) -> None:
    with server("127.0.0.1") as port:
        pass
    result = await check_handler(f"http://localhost:{port}", is_chosen=is_chosen)
    assert result.state is state
    assert f"port {port} refuses connections over IPv4" in result.message


async def test_handler_check_is_skipped_without_a_handler() -> None:
    assert (await check_handler(None, is_chosen=False)).state is CheckState.SKIPPED


async def test_doctor_sends_no_request_to_the_handler() -> None:
    with open_port() as listening:
        target = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert (await check_handler(target, is_chosen=True)).state is CheckState.OK
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(30)
            assert connection.recv(1) == b""
