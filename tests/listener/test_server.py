"""The listener's server, at the level of sockets: clients' mistakes, and that they don't affect other clients."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from port_hook_cli.errors import ListenError, StoreError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Invocation, Response
from port_hook_cli.listener.http_source import HttpSource
from tests.receivers import FINE, World, a_context, receiving, request


async def test_request_becomes_an_invocation_byte_for_byte() -> None:
    async with receiving() as world:
        answer = await world.capture(
            request(b"\x00\xff", "X-B: 1", "x-a: \xe9", "X-B: 2", method="DELETE", target="/a%2F?q=%20&q")
        )

    (invocation,) = world.received
    assert (invocation.id, invocation.received_at) == ("abc", 1.5)
    assert (invocation.method, invocation.target, invocation.body) == ("DELETE", "/a%2F?q=%20&q", b"\x00\xff")
    assert invocation.headers.items[-3:] == (("X-B", "1"), ("x-a", "\xe9"), ("X-B", "2"))
    assert answer == b"HTTP/1.1 200 OK\r\nX-Answer: 1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine"


async def test_compressed_body_is_not_decompressed() -> None:
    async with receiving() as world:
        for encoding in ("gzip", "deflate", "br", "nonsense"):
            await world.capture(request(b"not really compressed", f"Content-Encoding: {encoding}"))
    assert [invocation.body for invocation in world.received] == [b"not really compressed"] * 4


async def test_chunks_of_a_body_are_joined() -> None:
    async with receiving() as world:
        await world.capture(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
    assert world.received[0].body == b"abcde"


async def test_connection_accepted_as_the_server_ends_is_closed() -> None:
    with socket.socket() as client:
        client.setblocking(False)
        async with receiving() as world:
            client.connect_ex(("127.0.0.1", world.port))
            for _ in range(2):  # in the second round of the event loop, the server accepts the connection
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


async def test_head_request_gets_the_length_and_no_body() -> None:
    async with receiving() as world:
        answer = await world.capture(request(method="HEAD"))
    assert b"content-length: 4" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_content_length_of_a_handler_without_a_body_is_returned_and_the_connection_stays_open() -> None:
    async with receiving() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        for method, status in (("HEAD", 200), ("GET", 304)):
            world.answer = Response(status=status, headers=Headers((("Content-Length", "42"), ("X", "1"))))
            writer.write(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.partition(b"\r\n")[2] == b"Content-Length: 42\r\nX: 1\r\n\r\n"
        fields = Headers((("Content-Length", "42"), ("X", "1"), ("X", "2")))
        world.answer = Response(status=200, headers=fields, body=b"fine")
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"fine"), 5)
        writer.close()
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: 1\r\nX: 2\r\n\r\nfine"


async def test_server_responds_with_413_as_soon_as_a_body_exceeds_the_limit() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    announced = head + b"Content-Length: 52428800\r\n\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n"
    async with receiving(context={"max_body": 1000}) as world:
        for sent in (announced, chunked):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.write(sent)
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 413 ")
            writer.close()
        assert (await world.capture(request(b"x" * 1000))).startswith(b"HTTP/1.1 200 ")
    assert [len(invocation.body) for invocation in world.received] == [1000]
    assert "--max-body" in world.notices[0]


async def test_client_gets_100_continue_when_it_waits_for_it() -> None:
    async with receiving() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert (await asyncio.wait_for(reader.readuntil(b"fine"), 5)).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_server_responds_with_408_to_a_slow_body_and_serves_others_meanwhile() -> None:
    async with receiving(body_timeout_s=0.3, linger_s=0) as world:
        slow = asyncio.create_task(
            world.capture(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nonly this")
        )
        assert (await world.capture(request(b"quick"))).startswith(b"HTTP/1.1 200")
        assert not slow.done()
        assert (await slow).startswith(b"HTTP/1.1 408 ")
    assert [invocation.body for invocation in world.received] == [b"quick"]


async def test_server_disconnects_a_client_when_its_head_is_too_slow() -> None:
    async with receiving(head_timeout_s=0.3) as world:
        assert await world.capture(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") == b""
    assert world.received == []


async def test_client_is_reported_and_not_captured_when_it_disconnects_during_a_request() -> None:
    async with receiving() as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nonly this")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await world.capture(request(b"next"))).startswith(b"HTTP/1.1 200")
    assert [invocation.body for invocation in world.received] == [b"next"]
    assert any("disconnected during" in notice for notice in world.notices)


async def test_server_responds_with_400_to_non_http_input_and_reports_it_in_one_line() -> None:
    async with receiving() as world:
        assert (await world.capture(b"\x16\x03\x01\x02\x00\x01\x00 nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert "Responded with 400" in world.notices[0]


async def test_header_of_64_kb_and_duplicate_headers_arrive() -> None:
    long = "x" * 64 * 1024
    async with receiving() as world:
        await world.capture(request(b"", f"X-Long: {long}", "X-Port-Signature: a", "X-Port-Signature: b"))
    assert world.received[0].headers.get("x-long") == long
    assert world.received[0].headers.all("x-port-signature") == ("a", "b")


ONCE_ONLY = [
    "Content-Type",
    "User-Agent",
    "Host",
    "Server",
    "ETag",
    "Content-Location",
    "Content-Range",
    "Max-Forwards",
]
TWICE = (
    b"POST /2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: a\r\nX: 1\r\ncontent-type: b\r\nContent-Length: 2\r\n\r\nhi"
)
OF_TWICE = (("Host", "localhost"), ("Content-Type", "a"), ("X", "1"), ("content-type", "b"), ("Content-Length", "2"))
PLAIN = b"POST /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"POST /1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTrailer: 1\r\n\r\n"
BARE = b"GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_duplicates_of_unique_headers_all_arrive() -> None:
    async with receiving() as world:
        for name in ONCE_ONLY:
            answer = await world.capture(request(b"hi", f"{name}: 1", "X: 2", f"{name.lower()}:  3 ", f"{name}: 1"))
            assert answer.startswith(b"HTTP/1.1 200 ")
            expected = ((name, "1"), ("X", "2"), (name.lower(), "3"), (name, "1"))
            assert world.received[-1].headers.items[-4:] == expected
            assert world.received[-1].body == b"hi"


@pytest.mark.parametrize("step", [1, 40])
async def test_duplicate_headers_of_later_requests_arrive_in_any_segmentation(step: int) -> None:
    async with receiving() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        for sent in (TWICE, PLAIN, TWICE, CHUNKED, TWICE, BARE, TWICE, TWICE):
            for start in range(0, len(sent), step):
                writer.write(sent[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)
            assert (await asyncio.wait_for(reader.readuntil(b"fine"), 5)).startswith(b"HTTP/1.1 200 ")
        writer.close()
    again = [invocation for invocation in world.received if invocation.target == "/2"]
    assert [invocation.body for invocation in again] == [b"hi"] * 5
    assert [invocation.headers.items for invocation in again] == [OF_TWICE] * 5


async def test_contradictory_lengths_are_rejected() -> None:
    pairs = [
        ("Content-Length: 2", "Content-Length: 2"),
        ("Content-Length: 2", "content-length: 40"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "transfer-encoding: identity"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 2"),
    ]
    async with receiving() as world:
        for fields in pairs:
            for more in ((), ("Content-Type: a", "Content-Type: b")):
                lines = ("POST / HTTP/1.1", "Host: localhost", *more, *fields, "", "hi")
                answer = await world.capture("\r\n".join(lines).encode())
                assert (answer[:13], answer.count(b"HTTP/1.1 ")) == (b"HTTP/1.1 400 ", 1), lines
                assert "Responded with 400" in world.notices[-1]
    assert world.received == []


async def test_pipelined_body_is_not_read_as_a_head_when_it_looks_like_headers() -> None:
    hidden = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\nX: 1\r\nX: 2\r\nServer: 1\r\nServer: 2\r\n\r\n"
    async with receiving() as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(PLAIN + b"GET /next HTTP/1.1\r\nHost: localhost\r\nX: ")
        await asyncio.wait_for(reader.readuntil(b"fine"), 5)
        writer.write(hidden)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert [invocation.target for invocation in world.received] == ["/1"]
    assert "'Host'" in world.notices[0]


async def test_thousands_of_headers_arrive() -> None:
    fields = tuple(f"X-{number}: {number}" for number in range(10_000))
    async with receiving() as world:
        answer = await world.capture(request(b"hi", *fields))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [f"{name}: {value}" for name, value in world.received[0].headers.items[-10_000:]] == [*fields]


@pytest.mark.parametrize(
    ("begun", "field"),
    [
        (b"POST / HTTP/1.1\r\n", b"X: " + b"x" * 1000 + b"\r\n"),
        (TWICE[: TWICE.index(b"Content-Length")], b"X:\r\n" * 25),  # each piece must take little time
        (CHUNKED[: CHUNKED.index(b"Trailer")], b"X: " + b"x" * 1000 + b"\r\n"),
    ],
    ids=["head of long fields", "head of many fields with doubled ones", "trailers"],
)
async def test_server_responds_with_400_to_endless_headers_with_a_notice(begun: bytes, field: bytes) -> None:
    sent = len(begun)
    async with receiving() as world, asyncio.timeout(50):
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(begun)
        with suppress(ConnectionError):  # it disconnects before everything is sent
            while not any("Responded with 400" in notice for notice in world.notices):
                writer.write(field)
                sent += len(field)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()
        assert (await world.capture(request(b"next"))).startswith(b"HTTP/1.1 200 ")
    assert "more than 262144 bytes" in world.notices[-1]
    assert 256 * 1024 < sent < 768 * 1024
    assert [invocation.body for invocation in world.received] == [b"next"]


async def test_server_responds_with_400_to_a_complete_head_above_the_limit() -> None:
    async with receiving() as world:
        answer = await world.capture(request(b"", *("X: " + "x" * 1000,) * 261))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert world.received == []


async def test_server_responds_with_500_without_a_traceback_when_the_pipeline_fails() -> None:
    async with receiving() as world:
        world.problem = ZeroDivisionError("a bug")
        failed = await world.capture(request())
        world.problem = StoreError("There is no space left.")
        unsaved = await world.capture(request())
    assert (failed[:13], unsaved[:13]) == (b"HTTP/1.1 500 ", b"HTTP/1.1 500 ")
    assert b"Traceback" not in failed
    assert "a bug" in world.notices[0]
    assert b"There is no space left." in unsaved


async def test_start_raises_with_a_hint_when_the_port_is_taken() -> None:
    async with receiving() as world:
        server = HttpSource(a_context(world.receive, print))
        with pytest.raises(ListenError, match=f"Port {world.port} on 127.0.0.1 is already in use") as caught:
            await server.start("127.0.0.1", world.port)
    assert "--port" in caught.value.hint


async def test_start_raises_for_an_address_of_another_machine() -> None:
    server = HttpSource(a_context(World().receive, print))
    with pytest.raises(ListenError, match=r"Cannot listen on 192\.0\.2\.1"):
        await server.start("192.0.2.1", 0)


async def test_proxy_request_is_rejected_and_not_captured() -> None:
    async with receiving() as world:
        for line in ("CONNECT @127.0.0.1:9 HTTP/1.1", "GET http://h/x HTTP/1.1", "OPTIONS * HTTP/1.1"):
            sent = f"{line}\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            assert (await world.capture(sent.encode())).startswith(b"HTTP/1.1 400 ")
    assert world.received == []


async def test_server_responds_with_501_to_an_unknown_transfer_coding() -> None:
    async with receiving() as world:
        answer = await world.capture(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 501 ")


async def test_close_waits_for_requests_in_progress_only_for_the_drain_time() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(invocation: Invocation, client: str) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return FINE

    server = HttpSource(a_context(hang, print))
    _, port = await server.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(b"x"))
    await asyncio.wait_for(started.wait(), 5)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await server.close(0.2)
    assert 0.15 < loop.time() - before < 30  # the upper bound guards against a hang
    assert ended.is_set()
    writer.close()
