from __future__ import annotations

import asyncio
import socket

import pytest

from port_hook_cli.tunnels.connectivity import Reach
from port_hook_cli.tunnels.prober import probe
from tests.servers import handler


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("status", "body", "reach"),
    [
        ("200 OK", b"token", Reach.REACHABLE),
        ("200 OK", b"a page", Reach.TAKEN),
        ("404 Not Found", b"", Reach.TAKEN),
        ("502 Bad Gateway", b"", Reach.UNREACHABLE),
        ("530 Odd", b"", Reach.UNREACHABLE),
        ("429 Too Many Requests", b"", Reach.UNREACHABLE),
        ("421 Misdirected Request", b"", Reach.UNREACHABLE),
        ("200 OK", b"x" * 100_000, Reach.TAKEN),
    ],
)
async def test_an_answer_tells_who_is_there(status: str, body: bytes, reach: Reach) -> None:
    with handler(answer(body, status)) as there:
        found = await probe(f"{there.url}/path", "token")
    assert found.reach is reach
    assert bool(found.words) is (reach is not Reach.REACHABLE)
    assert there.requests[0].line == "GET /path HTTP/1.1"


async def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        writer.close()
        left.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server, asyncio.timeout(5):
        found = await probe(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "token", timeout_s=0.3)
        await left.wait()
    assert (found.reach, found.words) == (Reach.UNREACHABLE, "no answer within 0.3 s")


async def test_what_does_not_listen_cannot_be_reached() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = await probe(f"http://127.0.0.1:{closed.getsockname()[1]}/", "token")
    assert found.reach is Reach.UNREACHABLE
    assert found.words


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense", "ftp://x"])
async def test_a_proxy_that_cannot_be_used_ends_nothing(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    found = await probe("http://127.0.0.1:9/", "token")
    assert found.reach is Reach.UNREACHABLE
    assert found.words
