from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

import pytest

from port_hook_cli.tunnels.protocol import probe
from port_hook_cli.tunnels.report import Connectivity, TunnelReport, TunnelState, tunnel_lines, tunnel_summary
from tests.servers import handler


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("status", "body", "connectivity"),
    [
        ("200 OK", b"token", Connectivity.REACHABLE),
        ("200 OK", b"a page", Connectivity.TAKEN),
        ("404 Not Found", b"", Connectivity.TAKEN),
        ("502 Bad Gateway", b"", Connectivity.UNREACHABLE),
        ("530 Odd", b"", Connectivity.UNREACHABLE),
        ("429 Too Many Requests", b"", Connectivity.UNREACHABLE),
        ("421 Misdirected Request", b"", Connectivity.UNREACHABLE),
        ("200 OK", b"x" * 100_000, Connectivity.TAKEN),
    ],
)
async def test_probe_identifies_the_responding_server(status: str, body: bytes, connectivity: Connectivity) -> None:
    with handler(answer(body, status)) as there:
        result = await probe(f"{there.url}/path", "token")
    assert result.connectivity is connectivity
    assert bool(result.message) is (connectivity is not Connectivity.REACHABLE)
    assert there.requests[0].line == "GET /path HTTP/1.1"


async def test_probe_ends_within_its_timeout_for_an_endless_response() -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n")
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        while not (reader.at_eof() or writer.is_closing()):  # a client that resets the connection sends no EOF
            writer.write(b"x")
            await asyncio.sleep(0.05)
        writer.close()
        left.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server, asyncio.timeout(30):
        result = await probe(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "token", timeout_s=0.2)
        await left.wait()
    assert (result.connectivity, result.message) == (Connectivity.UNREACHABLE, "no response within 0.2 s")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-", b"HTTP/1.1 200 OK\r\n\r\ntok"])
async def test_probe_ends_when_the_server_resets_the_connection(sent: bytes) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        at_once = struct.pack("ii", 1, 0)  # discard unsent bytes, and reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.close()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server, asyncio.timeout(30):
        result = await probe(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "token")
    assert result.connectivity is Connectivity.UNREACHABLE
    assert result.message == "the connection was reset before the response was complete"


async def test_probe_reports_an_address_where_nothing_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = await probe(f"http://127.0.0.1:{closed.getsockname()[1]}/", "token")
    assert result.connectivity is Connectivity.UNREACHABLE
    assert result.message


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense", "ftp://x"])
async def test_probe_reports_an_unusable_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    result = await probe("http://127.0.0.1:9/", "token")
    assert result.connectivity is Connectivity.UNREACHABLE
    assert result.message


ONE, TWO = "https://one.example/hook", "https://two.example/hook"


def one_line(state: TunnelState, **fields: object) -> str:
    (line,) = tunnel_lines(TunnelReport(state=state, url=ONE, **fields))  # type: ignore[arg-type] # as given
    return line


@pytest.mark.parametrize("state", [TunnelState.OPEN, TunnelState.REACHABLE])
def test_working_tunnel_is_shown_with_its_url(state: TunnelState) -> None:
    assert one_line(state).endswith(f": {ONE}")
    assert state.name.lower() in one_line(state)


def test_latency_of_the_probe_is_shown_in_whole_milliseconds() -> None:
    assert "in 12 ms" in one_line(TunnelState.REACHABLE, latency_ms=12.4)
    assert " ms" not in one_line(TunnelState.REACHABLE)
    assert "in 0 ms" in one_line(TunnelState.REACHABLE, latency_ms=0.0)


@pytest.mark.parametrize("state", [TunnelState.UNREACHABLE, TunnelState.TAKEN, TunnelState.LOST])
def test_broken_tunnel_is_shown_in_capitals_with_the_reason(state: TunnelState) -> None:
    assert f" {state.name}: the reason" in one_line(state, reason="the reason")
    assert "the reason" not in one_line(state)
    assert f" {state.name}" in one_line(state)


def test_long_reason_is_truncated_and_escaped() -> None:
    line = one_line(TunnelState.UNREACHABLE, reason="\x1b[2J" + "x" * 1000)
    assert "\x1b" not in line
    assert len(line) < 450


def test_changed_url_is_shown_below_the_old_url_between_empty_lines() -> None:
    report = TunnelReport(state=TunnelState.OPEN, url=TWO, previous_url=ONE)
    first, headline, old, new, last = tunnel_lines(report)
    assert (first, last) == ("", "")
    assert headline.startswith("***")
    assert ONE in old
    assert TWO in new
    assert TWO not in old


@pytest.mark.parametrize(
    ("lost", "end"), [(0, f": {ONE}"), (1, ", lost 1 time"), (2, ", lost 2 times"), (10, ", lost 10 times")]
)
def test_summary_shows_how_often_the_tunnel_was_lost(lost: int, end: str) -> None:
    assert tunnel_summary(TunnelReport(state=TunnelState.OPEN, url=ONE), lost).endswith(end)
