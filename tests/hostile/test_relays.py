"""Hostile relays and tunnels: a listener does not read more from them than its limits allow."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from port_hook_cli.errors import TunnelError
from port_hook_cli.tunnels.protocol import Opening, probe
from port_hook_cli.tunnels.report import Connectivity
from port_hook_cli.tunnels.smee.channel import SmeeChannel, open_smee
from port_hook_cli.tunnels.supervised import SupervisedTunnel
from tests.hostile.hostile_api import bomb
from tests.hostile.wire import (
    SOCKET_BUFFERS,
    Connection,
    HostileServer,
    Trick,
    endless_body,
    endless_continue,
    endless_field,
)
from tests.receivers import World, a_context

_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


async def open_relay(url: str, timeout_s: float = 5) -> SmeeChannel:
    return await open_smee(
        Opening(
            address=f"{url}/channel",
            local_url="http://127.0.0.1:9",
            environ={},
            home=Path("/nowhere"),
            notice=lambda _: None,
            timeout_s=timeout_s,
            source=a_context(World().receive),
        ),
    )


async def packed_stream(connection: Connection) -> None:
    await connection.send(_STREAM + b"content-encoding: gzip\r\n\r\n")
    await connection.send(bomb())


async def event_without_end(connection: Connection) -> None:
    await connection.send(_STREAM + b"\r\ndata: ")
    await connection.flood(b"x" * 1024)


async def good_stream_but_endless_responses(connection: Connection) -> None:
    """Open a stream for a GET. Respond to a POST, which a probe sends, without end."""
    if connection.head.startswith(b"POST"):
        await endless_body(connection)
    await connection.send(_STREAM + b"\r\nevent: ready\ndata: {}\n\n")
    await connection.reader.read()


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        (packed_stream, "it responds with a content-encoding that port-hook did not request (gzip)"),
        (event_without_end, "it sends an event that is too large"),
        (endless_field, "it closed the connection"),
    ],
)
async def test_relay_sending_too_much_is_reported(trick: Trick, words: str) -> None:
    async with HostileServer(trick).serve() as relay, asyncio.timeout(30):
        with pytest.raises(TunnelError) as caught:
            await open_relay(relay.url)
    assert words in caught.value.message
    assert relay.sent < 36 * 2**20 + SOCKET_BUFFERS


async def test_opening_a_relay_takes_no_longer_than_its_timeout() -> None:
    async with HostileServer(endless_continue).serve() as relay, asyncio.timeout(30):
        with pytest.raises(TunnelError, match=r"within 0\.1 s"):
            await open_relay(relay.url, timeout_s=0.1)


async def test_probe_through_a_relay_does_not_read_an_endless_response() -> None:
    async with HostileServer(good_stream_but_endless_responses).serve() as relay, asyncio.timeout(30):
        tunnel = await open_relay(relay.url)
        tunnel.probe_timeout_s = 0.3
        found = await tunnel.probe("/", "token")
        await relay.hung_up.wait()
        await tunnel.close()
    assert found.message == "the relay accepted a request, but did not pass it on within 0.3 s"
    assert relay.sent < SOCKET_BUFFERS


@pytest.mark.parametrize("trick", [endless_body, endless_continue, endless_field])
async def test_probe_ends_within_its_timeout_for_any_server_at_the_public_url(trick: Trick) -> None:
    async with HostileServer(trick).serve() as server, asyncio.timeout(30):
        found = await probe(server.url, "token", timeout_s=0.1)
    assert found.connectivity in {Connectivity.UNREACHABLE, Connectivity.TAKEN}
    assert server.sent < SOCKET_BUFFERS


async def test_proxy_is_not_used_for_a_relay_or_a_listener_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        HostileServer(endless_body).serve() as proxy,
        HostileServer(good_stream_but_endless_responses).serve() as relay,
        HostileServer(lambda connection: connection.answer(b"token")).serve() as listener,
    ):
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        tunnel = await open_relay(relay.url)
        await tunnel.close()
        assert (await probe(listener.url, "token")).connectivity is Connectivity.REACHABLE
    assert proxy.requests == []


async def test_supervisor_sending_an_endless_line_is_killed() -> None:
    endless = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", endless,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    tunnel = SupervisedTunnel(supervisor)
    async with asyncio.timeout(30):
        assert await tunnel.next_report() is None
        await tunnel.close()
    assert supervisor.returncode is not None
