"""The limits of the HTTP client: no handler makes it read forever, or fill the memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from port_hook_cli.http.client import HttpClient
from port_hook_cli.invocations.models import Delivery
from tests.factories import an_invocation
from tests.hostile.wire import (
    SOCKET_BUFFERS,
    Connection,
    HostileServer,
    Trick,
    endless_body,
    endless_chunks,
    endless_continue,
    endless_field,
    endless_fields,
    endless_trailers,
)

MIB = 2**20
Send = Callable[[HttpClient, str], Awaitable[Delivery]]


async def at_once(client: HttpClient, url: str) -> Delivery:
    return await client.send(an_invocation(b"{}"), url)


async def slowly(client: HttpClient, url: str) -> Delivery:
    return await client.send_slowly(an_invocation(b"{}"), url, pieces=2, pause_s=0)


async def ten_gigabytes(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
    await connection.flood(b"x" * 1024)


async def tiny_chunks(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await connection.flood(b"1\r\nx\r\n")


async def empty_fields(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    await connection.flood(b"x:\n")


async def large_interim(connection: Connection) -> None:
    await connection.flood(b"HTTP/1.1 103 Early Hints\r\nlink: " + b"y" * 20_000 + b"\r\n\r\n")


INTERIM = "the target sent more than 32 interim (1xx) responses"
FIELDS = "the header section or the trailers of the response are larger than 256 KiB"
BODY = "the response is larger than 1000 bytes"
TRICKS: dict[Trick, str] = {
    endless_continue: INTERIM,
    large_interim: FIELDS,
    endless_field: FIELDS,
    endless_fields: FIELDS,
    empty_fields: FIELDS,
    endless_body: BODY,
    endless_chunks: BODY,
    tiny_chunks: BODY,
    endless_trailers: FIELDS,
    ten_gigabytes: BODY,
}


@pytest.mark.parametrize("trick", TRICKS)
async def test_endless_response_uses_little_memory_without_a_timeout(trick: Trick) -> None:
    is_even = list(TRICKS).index(trick) % 2 == 0  # each way of sending and reading meets half of the tricks
    send: Send = at_once if is_even else slowly
    async with HostileServer(trick).serve() as server, asyncio.timeout(30):
        async with HttpClient(timeout_s=0, max_response=1000, whole_body=is_even) as client:
            tracemalloc.start()
            try:
                delivery = await send(client, server.url)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        await server.hung_up.wait()
    assert (delivery.status, delivery.fault, delivery.error) == (None, "too-large", TRICKS[trick])
    assert delivery.body == b""
    assert server.sent < SOCKET_BUFFERS
    assert peak < 8 * MIB


def then_drip(begin: bytes, piece: bytes) -> Trick:
    """Return a trick that sends a beginning, and then a piece every 10 ms, or nothing more."""

    async def trick(connection: Connection) -> None:
        await connection.send(begin)
        if not piece:
            await connection.reader.readexactly(1)
        while True:
            await connection.send(piece)
            await asyncio.sleep(0.01)

    return trick


DRIPS = (
    (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    (b"HTTP/1.1 200 ", b"y"),
    (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n", b"x"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
)


async def test_slow_endless_response_ends_at_the_timeout() -> None:
    async def receive(begin: bytes, piece: bytes) -> Delivery:
        async with HostileServer(then_drip(begin, piece)).serve() as server, asyncio.timeout(30):
            async with HttpClient(timeout_s=0.1, max_response=1000) as client:
                delivery = await at_once(client, server.url)
            await server.hung_up.wait()
        return delivery

    for delivery in await asyncio.gather(*(receive(*drip) for drip in DRIPS)):
        assert (delivery.status, delivery.fault, delivery.error) == (None, "timeout", "no response within 0.1 s")
