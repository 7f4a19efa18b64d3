"""A client may half-close its connection (`shutdown(SHUT_WR)`) and wait for its response."""

from __future__ import annotations

import asyncio

from tests.receivers import World, receiving, request

OPEN = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
BARE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"


async def half_closed(world: World, sent: bytes) -> bytes:
    """Send `sent`, half-close, and return everything received until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(sent)
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_client_gets_its_response_and_is_disconnected_after_a_half_close() -> None:
    cases = [*((sent, True) for sent in (OPEN % 1, BARE, CHUNKED, request(b"x" * 2**20))), (OPEN % 1, False)]
    for sent, is_slow in cases:
        async with receiving() as world:
            world.hold = asyncio.Event()
            answered = asyncio.create_task(half_closed(world, sent))
            await world.took(1)
            if is_slow:  # the half-close arrives before the response
                await world.turn()
            world.hold.set()
            answer = await answered
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b"fine")
        assert len(world.received) == 1


async def test_each_pipelined_request_gets_a_response_after_a_half_close() -> None:
    async with receiving() as world:
        answer = await half_closed(world, b"".join(OPEN % number for number in range(40)))
    assert [invocation.target for invocation in world.received] == [f"/{number}" for number in range(40)]
    assert answer.count(b"HTTP/1.1 200 OK") == 40
    # The event loop may learn of the half-close only after the last response. The connection still ends.
    assert answer.count(b"connection: close") <= 1


async def test_truncated_body_after_a_complete_request_is_not_captured() -> None:
    async with receiving() as world:
        world.hold = asyncio.Event()
        answered = asyncio.create_task(half_closed(world, OPEN % 1 + OPEN[:-1] % 2))
        await world.took(1)
        await world.turn()
        world.hold.set()
        answer = await answered
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert [invocation.target for invocation in world.received] == ["/1"]
    assert any("disconnected during POST /2" in notice for notice in world.notices)


async def test_truncated_head_after_a_complete_request_is_not_captured() -> None:
    async with receiving() as world:
        answer = await half_closed(world, OPEN % 1 + BARE[:20])
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(world.received) == 1


async def test_client_is_disconnected_when_it_half_closes_during_its_request() -> None:
    async with receiving() as world:
        for sent in (b"", BARE[:20], OPEN[:-1] % 1, CHUNKED[:-4]):
            assert await half_closed(world, sent) == b""
        assert (await world.capture(request(b"next"))).startswith(b"HTTP/1.1 200 ")
    assert [invocation.body for invocation in world.received] == [b"next"]


async def test_idle_client_is_disconnected_when_it_half_closes() -> None:
    async with receiving() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(OPEN % 1)
        await asyncio.wait_for(reader.readuntil(b"fine"), 5)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
