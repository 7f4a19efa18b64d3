"""The listener's limits: the bodies of requests in flight, and connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.receivers import World, receiving, request

MIB = 2**20
# With this limit for one body, four of them fill the listener.
BODY = MIB // 4
SMALL: dict[str, Any] = {"context": {"max_body": BODY}, "min_capacity": 4 * BODY}
BEGUN = b"POST /begun HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % BODY
CHUNKED = b"POST /chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
MORE = b"12345678"
SATURATED = "MiB of bodies. More are rejected"


@asynccontextmanager
async def filled(world: World) -> AsyncIterator[None]:
    """Hold four bodies that lack their last byte, until the context ends."""
    writers = []
    for _ in range(4):
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(BEGUN + bytes(BODY - 1))
        writers.append(writer)
    # A fifth body is rejected as soon as the four have arrived.
    async with asyncio.timeout(30):
        while not (await world.capture(request(MORE))).startswith(b"HTTP/1.1 503 "):
            pass
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


async def test_body_above_the_shared_limit_gets_a_503_with_retry_after_and_is_not_captured() -> None:
    async with receiving(**SMALL, linger_s=0) as world, filled(world):
        taken = len(world.received)
        for more in (request(MORE), CHUNKED + b"8\r\n12345678\r\n"):
            answer = await world.capture(more)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nretry-after: 1\r\n" in answer
        assert len(world.received) == taken
        # A request without a body takes no capacity.
        assert (await world.capture(request(b""))).startswith(b"HTTP/1.1 200 ")


async def test_saturated_listener_prints_one_notice_per_period() -> None:
    async with receiving(**SMALL) as world:
        for times in (1, 2):
            async with filled(world):
                for _ in range(5):
                    await world.capture(request(MORE))
            await world.told("disconnected during", times=4 * times)
            assert sum(SATURATED in notice for notice in world.notices) == times


async def test_body_memory_is_released_when_clients_disconnect() -> None:
    async with receiving(**SMALL) as world:
        async with filled(world):
            pass
        await world.told("disconnected during", times=4)
        assert (await world.capture(request(bytes(BODY)))).startswith(b"HTTP/1.1 200 ")


async def test_body_memory_is_released_when_clients_are_too_slow() -> None:
    async with receiving(**SMALL, body_timeout_s=1) as world, filled(world):
        await world.told("did not arrive in time", times=4)
        assert (await world.capture(request(bytes(BODY)))).startswith(b"HTTP/1.1 200 ")


async def test_bodies_count_toward_the_limit_until_the_response_is_sent() -> None:
    chunked = CHUNKED.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + b"%x\r\n%b\r\n0\r\n\r\n" % (BODY, bytes(BODY))
    async with receiving(**SMALL) as world:
        world.hold = asyncio.Event()
        whole = (chunked, *[request(bytes(BODY))] * 3)
        held = [asyncio.create_task(world.capture(each)) for each in whole]
        await world.took(4)
        assert (await world.capture(request(MORE))).startswith(b"HTTP/1.1 503 ")
        world.hold.set()
        assert {answer[:13] for answer in await asyncio.gather(*held)} == {b"HTTP/1.1 200 "}
        assert (await world.capture(request(bytes(BODY)))).startswith(b"HTTP/1.1 200 ")


async def test_body_memory_is_released_when_a_request_fails() -> None:
    async with receiving(**SMALL) as world:
        world.problem = ZeroDivisionError("a bug")
        for _ in range(5):
            assert (await world.capture(request(bytes(BODY)))).startswith(b"HTTP/1.1 500 ")


async def test_connections_beyond_the_limit_get_a_503_and_the_rest_are_served() -> None:
    async with receiving(max_connections=2) as world:
        world.hold = asyncio.Event()
        held = [asyncio.create_task(world.capture(request(MORE))) for _ in range(2)]
        await world.took(2)
        for _ in range(3):
            answer = await world.capture(b"")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nconnection: close\r\n" in answer
        world.hold.set()
        assert {answer[:13] for answer in await asyncio.gather(*held)} == {b"HTTP/1.1 200 "}
        assert (await world.capture(request(b"next"))).startswith(b"HTTP/1.1 200 ")
    assert [notice for notice in world.notices if "More are rejected" in notice] == [
        "Responded with 503: 2 connections are open. More are rejected until some close."
    ]


async def test_new_connection_replaces_the_oldest_idle_connection_and_no_active_connection() -> None:
    async with receiving(max_connections=4) as world:
        world.hold = asyncio.Event()
        active = asyncio.create_task(world.capture(request(b"active")))
        await world.took(1)
        begun_reader, begun = await asyncio.open_connection("127.0.0.1", world.port)
        begun.write(request(b"begun")[:-1])
        idle = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(2)]
        idle[0][1].write(b"POST / HTTP/1.1\r\nX-Slow: ")
        new = asyncio.create_task(world.capture(request(b"new")))
        await world.took(2)
        assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
        another = asyncio.create_task(world.capture(request(b"another")))
        await world.took(3)
        assert await asyncio.wait_for(idle[1][0].read(), 5) == b""
        assert (await world.capture(b"")).startswith(b"HTTP/1.1 503 ")  # all of them are active now
        begun.write(b"n")
        await world.took(4)
        world.hold.set()
        answers = [*await asyncio.gather(active, new, another), await begun_reader.read()]
        for writer in (begun, *(writer for _, writer in idle)):
            writer.close()
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 200 "}
    assert sorted(invocation.body for invocation in world.received) == [b"active", b"another", b"begun", b"new"]


async def test_connection_stays_open_longer_after_its_first_request() -> None:
    async with receiving(max_connections=2, first_head_timeout_s=0.3) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", world.port)
        await asyncio.sleep(0.04)  # more than a tenth of the time for its head, so its place can be taken
        post = request(b"one").replace(b"Connection: close\r\n", b"")
        writer.write(post)
        assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 ")
        assert (await world.capture(request(b"two"))).startswith(b"HTTP/1.1 200 ")  # takes the place of the silent one
        assert await asyncio.wait_for(silent.read(), 5) == b""
        silent_writer.close()
        assert await world.capture(b"POST / HTTP/1.1\r\nX-Slow: ") == b""  # after 0.3 s
        writer.write(post)
        assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_new_connection_is_not_closed_before_its_head_arrives_when_others_are_idle() -> None:
    async with receiving(max_connections=3) as world:
        post = request(b"one").replace(b"Connection: close\r\n", b"")
        kept = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(3)]
        for reader, writer in kept:
            writer.write(post)
            assert (await reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        assert (await world.capture(request(b"another"))).startswith(b"HTTP/1.1 200 ")
        assert (await world.capture(request(b"another"))).startswith(b"HTTP/1.1 200 ")
        writer.write(request(b"new"))
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200 ")
        for each in (writer, *(writer for _, writer in kept)):
            each.close()


async def test_requests_are_served_promptly_while_idle_connections_are_opened_all_the_time() -> None:
    async with receiving(max_connections=50) as world:
        flood = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(200)]
        for number in range(50):
            flood += [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(4)]
            async with asyncio.timeout(2):
                assert (await world.capture(request(b"%d" % number))).startswith(b"HTTP/1.1 200 ")
        for _, writer in flood:
            writer.close()
    assert [notice for notice in world.notices if "503" in notice] == []


async def test_announced_bodies_do_not_count_toward_the_shared_limit() -> None:
    async with receiving(**SMALL) as world:
        writers = [(await asyncio.open_connection("127.0.0.1", world.port))[1] for _ in range(8)]
        for writer in writers:
            writer.write(BEGUN)
        for _ in range(20):
            assert (await world.capture(request(MORE))).startswith(b"HTTP/1.1 200 ")
        for writer in writers:
            writer.close()


async def test_heads_with_thousands_of_headers_count_toward_the_shared_limit() -> None:
    fields = b"".join(b"a%d:\r\n" % number for number in range(11_000))
    head = b"POST /fields HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n" + fields + b"\r\n"
    async with receiving() as world:
        pairs = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(30)]
        for _, writer in pairs:
            writer.write(head)
        first = [asyncio.create_task(reader.readline()) for reader, _ in pairs]
        async with asyncio.timeout(30):
            done, waiting = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {b"HTTP/1.1 503 Service Unavailable\r\n"}
        for task in waiting:
            task.cancel()
        for _, writer in pairs:
            writer.close()
