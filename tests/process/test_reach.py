"""A public URL with a real listener: reachable, cut off, used by another server, and abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from tests.conftest import Run
from tests.processes import Listener, listener
from tests.servers import in_thread


@dataclass
class Relay:
    """A port in front of a listener, like a tunnel's server. It passes bytes on, or disconnects without an upstream.

    It doesn't add headers or use TLS, and open connections survive a change of its upstream.
    """

    upstream: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.upstream:
            there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


@pytest.fixture
def relay() -> Iterator[Relay]:
    it = Relay()

    async def start() -> Callable[[], Awaitable[None]]:
        server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
        it.port = server.sockets[0].getsockname()[1]

        async def stop() -> None:
            server.close()

        return stop

    with in_thread(start):
        yield it


@pytest.fixture
def listening(folder: Path, relay: Relay) -> Iterator[Listener]:
    with listener(folder, relay.url, probe_interval="0.1") as running:
        yield running


def tunnel_record(listening: Listener) -> dict[str, Any]:
    record = listening.record()
    assert record["type"] == "tunnel"
    return record


def test_listen_reports_when_the_public_url_works_and_when_it_stops_working(
    listening: Listener, relay: Relay, run: Run
) -> None:
    assert tunnel_record(listening)["state"] == "unreachable"
    relay.upstream = listening.port
    record = tunnel_record(listening)
    assert (record["state"], record["url"], record["previous_url"]) == ("reachable", f"{relay.url}/", None)
    assert record["latency_ms"] > 0
    relay.upstream = 0
    record = tunnel_record(listening)
    assert record["state"] == "unreachable"
    assert record["reason"]
    code, records = listening.stop()
    assert code == ExitCode.OK
    assert (records[-1]["tunnel"]["state"], records[-1]["received"]) == ("unreachable", 0)  # probes are not counted
    assert run("captures", "--json").records == []


def test_another_server_at_the_public_url_is_reported_until_it_has_gone(
    listening: Listener, relay: Relay, tmp_path: Path
) -> None:
    relay.upstream = listening.port
    while tunnel_record(listening)["state"] != "reachable":
        pass
    other = tmp_path / "other"
    other.mkdir()
    with listener(other) as somebody_else:
        relay.upstream = somebody_else.port
        record = tunnel_record(listening)
        assert (record["state"], "another server" in record["reason"]) == ("taken", True)
        relay.upstream = listening.port
        assert tunnel_record(listening)["state"] == "reachable"


def test_listen_exits_10_when_the_tunnel_stays_lost(folder: Path, relay: Relay) -> None:
    options = ("--tunnel", relay.url, "--exit-on-tunnel-loss", "0.3")
    with listener(folder, *options) as listening:
        out, err = listening.process.communicate(timeout=30)
    assert listening.process.returncode == ExitCode.TUNNEL_LOST
    assert b'"state":"unreachable"' in out
    assert b"error: The tunnel was lost" in err
