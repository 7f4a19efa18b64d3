"""The HTTP client, against servers that speak raw bytes."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli.http.client import HttpClient
from port_hook_cli.http.connection import Connection as ClientConnection
from port_hook_cli.http.connection import Deadlines, connect
from port_hook_cli.http.proxies import system_trust
from port_hook_cli.http.request_writer import read_endpoint
from port_hook_cli.http.response_body import SHOWN_BYTES
from port_hook_cli.http.response_parser import ResponseParser
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Invocation
from tests.factories import an_invocation

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HOST = ("Host", "h")


@dataclass
class Connection:
    """One connection as the server sees it. Bodies are read by content-length only."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """Return the next request, byte for byte. Raises IncompleteReadError when the client has disconnected."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        return head + await self.reader.readexactly(length)

    def send(self, answer: bytes) -> None:
        self.writer.write(answer)


Talk = Callable[[Connection], Awaitable[None]]


@dataclass
class Server:
    """A server whose side of each connection is a function. `ended` is set when one of them has ended."""

    talk: Talk
    url: str = ""
    connections: list[Connection] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(len(self.connections), reader, writer)
        self.connections.append(connection)
        try:
            await self.talk(connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def serving(talk: Talk, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    it = Server(talk)
    tasks: list[asyncio.Task[None]] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.ensure_future(it.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**24, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    it.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield it
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in it.connections:
            connection.writer.transport.abort()


def always(*answers: bytes) -> tuple[Talk, list[tuple[int, bytes]]]:
    """Return a talk that sends these responses in turn, then the last one forever, and the requests that it gets.

    A `|` separates the writes of a response.
    """
    requests: list[tuple[int, bytes]] = []

    async def talk(connection: Connection) -> None:
        while True:
            requests.append((connection.number, await connection.request()))
            connection.send(answers[min(len(requests), len(answers)) - 1])
            await connection.writer.drain()

    return talk, requests


def once(answer: bytes) -> Talk:
    """Return a talk that responds to one request in pieces, cut at `|`, and hangs up."""

    async def talk(connection: Connection) -> None:
        await connection.request()
        for piece in answer.split(b"|"):
            connection.send(piece)
            await connection.writer.drain()
            await asyncio.sleep(0)

    return talk


def request(body: bytes = b"{}", *fields: tuple[str, str], method: str = "POST") -> Invocation:
    return an_invocation(body, headers=Headers((HOST, *fields)), method=method)


async def forward(invocation: Invocation, url: str, *, timeout_s: float = 10.0) -> Delivery:
    async with HttpClient(timeout_s=timeout_s, whole_body=True) as client:
        return await client.send(invocation, url)


async def show(invocation: Invocation, url: str, *, timeout_s: float = 10.0) -> Delivery:
    """Send like a replay, which retains only the beginning of the response's body."""
    async with HttpClient(timeout_s=timeout_s) as client:
        return await client.send(invocation, url)


# --- sending


async def test_request_is_sent_byte_for_byte() -> None:
    talk, requests = always(OK)
    headers = Headers(
        (("X-B", "1"), ("hOsT", "h:1"), ("x-a", "\xff\xe9"), ("X-B", " 3 "), ("empty", ""), ("Content-Length", "4"))
    )
    async with serving(talk) as server:
        invocation = an_invocation(b"\x00\xff\r\n", method="DELETE", headers=headers)
        async with HttpClient(timeout_s=30, whole_body=True) as client:
            delivery = await client.send(invocation, f"{server.url}/a%2F..//b?x=[1]&x=%20&\udcff")

    assert delivery.ok
    assert requests[0][1] == (
        b"DELETE /a%2F..//b?x=[1]&x=%20&\xff HTTP/1.1\r\n"
        b"X-B: 1\r\nhOsT: h:1\r\nx-a: \xff\xe9\r\nX-B:  3 \r\nempty: \r\nContent-Length: 4\r\n\r\n"
        b"\x00\xff\r\n"
    )


# --- reading


async def test_response_is_read_with_any_framing() -> None:
    for answer, status, body in [
        (b"HTTP/1.1 200 OK\r\ncontent-|length: 4\r\n\r|\n\x00\xff|\r\n", 200, b"\x00\xff\r\n"),
        (b"HTTP/1.1 201\r\ntransfer-encoding: chunked\r\n\r\n3\r\na|bc\r\n1\r\nd\r|\n0\r\nT: 1\r\n\r\n", 201, b"abcd"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil |the end", 200, b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 202 A\r\ncontent-length: 2\r\n\r\nok", 202, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 599 Odd \xe9\r\ncontent-length: 2\r\n\r\nok", 599, b"ok"),
    ]:
        async with serving(once(answer)) as server:
            delivery = await forward(request(), f"{server.url}/p")
        assert (delivery.status, delivery.body, delivery.error) == (status, body, None)
        assert delivery.url == f"{server.url}/p"
        assert delivery.latency_ms > 0


async def test_response_headers_retain_order_case_duplicates_and_bytes() -> None:
    fields = b"X-B: 1\r\nx-a: \xff\xe9\r\nX-B: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\ncontent-length: 0\r\n"
    async with serving(once(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")) as server:
        delivery = await forward(request(), server.url)
    assert delivery.headers.items == (
        ("X-B", "1"), ("x-a", "\xff\xe9"), ("X-B", "2"), ("Set-Cookie", "a"), ("set-cookie", "b"),
        ("content-length", "0"),
    )  # fmt: skip


async def test_connection_is_reused_after_a_head_response_with_a_content_length() -> None:
    for member in [("content-length", "500"), ("transfer-encoding", "chunked")]:
        talk, requests = always(f"HTTP/1.1 200 OK\r\n{member[0]}: {member[1]}\r\n\r\n".encode(), OK)
        async with serving(talk) as server, HttpClient(timeout_s=30, whole_body=True) as client:
            delivery = await client.send(request(b"", method="HEAD"), server.url)
            assert (delivery.status, delivery.body, delivery.headers.items) == (200, b"", (member,))
            assert (await client.send(request(), server.url)).body == b"ok"
        assert [number for number, _ in requests] == [0, 0]


async def test_large_body_is_sent_and_received_completely() -> None:
    body = bytes(range(256)) * 40_000
    echoed = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def echo(connection: Connection) -> None:
        received = await connection.request()
        connection.send(echoed + received[-len(body) :])
        await connection.writer.drain()

    async with serving(echo) as server:
        delivery = await forward(request(body), server.url)
    assert delivery.body == body


# --- connections


async def send_many(client: HttpClient, url: str, count: int) -> list[Delivery]:
    return [await client.send(request(), url) for _ in range(count)]


async def test_connection_is_reused() -> None:
    for answer in [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ]:
        talk, requests = always(answer)
        async with serving(talk) as server, HttpClient(timeout_s=30, whole_body=True) as client:
            assert all(delivery.ok for delivery in await send_many(client, server.url, 4))
        assert [number for number, _ in requests] == [0, 0, 0, 0]


async def test_connection_closed_by_the_response_is_not_reused() -> None:
    for answer in [
        b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 500 Unasked\r\ncontent-length: 3\r\n\r\nbad",
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nok",
    ]:
        talk, requests = always(answer)
        async with serving(talk) as server, HttpClient(timeout_s=30, whole_body=True) as client:
            assert [delivery.body for delivery in await send_many(client, server.url, 3)] == [b"ok"] * 3
        assert [number for number, _ in requests] == [0, 1, 2]
    talk, requests = always(OK)
    async with serving(talk) as server, HttpClient(timeout_s=30, keep_alive=False) as client:
        assert all(delivery.ok for delivery in await send_many(client, server.url, 3))
    assert [number for number, _ in requests] == [0, 1, 2]


async def test_late_response_is_never_used_for_the_next_request() -> None:
    answers = asyncio.Queue[bytes]()

    async def late(connection: Connection) -> None:
        while True:
            await connection.request()
            connection.send(await answers.get())

    async with serving(late) as server, HttpClient(timeout_s=0.2, whole_body=True) as client:
        (slow,) = await send_many(client, server.url, 1)
        assert slow.fault == "timeout"
        # The first request's response comes now. The next request has its own connection.
        answers.put_nowait(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
        await server.ended.wait()
        answers.put_nowait(OK)
        (next_one,) = await send_many(client, server.url, 1)
    assert next_one.body == b"ok"
    assert len(server.connections) == 2


async def test_canceled_send_without_a_timeout_closes_the_connection_and_raises() -> None:
    asked = asyncio.Event()

    async def never(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await connection.reader.readexactly(1)

    async with serving(never) as server, HttpClient(timeout_s=0, whole_body=True) as client:
        task = asyncio.create_task(send_many(client, server.url, 1))
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(server.ended.wait(), 5)
    assert task.cancelled()


async def test_idle_connection_closed_by_the_server_is_replaced() -> None:
    talk = once(OK)
    async with serving(talk) as server, HttpClient(timeout_s=30, whole_body=True) as client:
        for number in range(3):
            (delivery,) = await send_many(client, server.url, 1)
            assert delivery.body == b"ok"
            await server.ended.wait()
            await server.connections[number].writer.wait_closed()
            server.ended.clear()
            for _ in range(5):  # the client's end of it comes with a later turn of the loop that both share
                await asyncio.sleep(0)
    assert len(server.connections) == 3


async def test_connection_closed_after_each_response_is_replaced() -> None:
    closed = threading.Semaphore(0)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # the test has ended
                return
            with connection:
                connection.recv(65536)
                connection.sendall(OK)
            closed.release()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        async with HttpClient(timeout_s=30) as client:
            deliveries = []
            for _ in range(3):
                deliveries.append(await client.send(request(), url))
                closed.acquire(timeout=30)  # the event loop must not see that the connection was closed
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(30)
    assert [delivery.status for delivery in deliveries] == [200, 200, 200]


async def test_concurrent_requests_get_their_own_responses() -> None:
    async def echo(connection: Connection) -> None:
        while True:
            body = (await connection.request()).partition(b"\r\n\r\n")[2]
            await asyncio.sleep(0)
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async with serving(echo) as server, HttpClient(timeout_s=30, whole_body=True) as client:

        async def send(number: int) -> None:
            body = b"%d" % number
            delivery = await client.send(request(body), server.url)
            assert delivery.body == body

        for start in range(0, 300, 100):
            await asyncio.gather(*(send(number) for number in range(start, start + 100)))
    assert len(server.connections) <= 100


async def test_targets_have_separate_connections_that_close_when_the_context_of_the_client_ends() -> None:
    talk, requests = always(OK)
    other_talk, of_other = always(OK)
    async with serving(talk) as server, serving(other_talk) as other:
        async with HttpClient(timeout_s=30, whole_body=True) as client:
            for url in (server.url, other.url, server.url, other.url):
                await send_many(client, url, 1)
            assert not server.ended.is_set()
        await asyncio.wait_for(server.ended.wait(), 5)
    assert [[number for number, _ in each] for each in (requests, of_other)] == [[0, 0], [0, 0]]


# --- failures


async def test_target_without_a_listener_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
        delivery = await forward(request(), f"http://{place}/")
    assert (delivery.status, delivery.fault) == (None, "unreachable")
    assert delivery.error == f"nothing listens on {place}: is your handler running?"
    assert delivery.latency_ms > 0
    delivery = await forward(request(), f"http://{'x' * 70}.invalid/")
    assert delivery.fault == "unreachable"
    assert delivery.error == f"the host name in {'x' * 70}.invalid:80 cannot be resolved"


async def test_client_waits_for_a_target_that_refuses_connections() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        async with HttpClient(timeout_s=10, wait_s=20) as client:
            sending = asyncio.ensure_future(client.send(request(), f"http://127.0.0.1:{port}/"))
            done, _ = await asyncio.wait([sending], timeout=0.2)
            assert not done
            free.listen()
            connection, _ = await asyncio.to_thread(free.accept)
            with connection:
                assert (await asyncio.to_thread(connection.recv, 1000)).startswith(b"POST / HTTP/1.1\r\n")
                await asyncio.to_thread(connection.sendall, OK)
                assert (await sending).status == 200


@pytest.mark.parametrize("began", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"], ids=["none", "part"])
async def test_response_incomplete_at_the_deadline_is_a_timeout(began: bytes) -> None:
    async def stall(connection: Connection) -> None:
        await connection.request()
        connection.send(began)
        await connection.reader.readexactly(1)

    async with serving(stall) as server:
        delivery = await forward(request(), server.url, timeout_s=0.15)
    assert delivery.fault == "timeout"
    assert delivery.error == "no response within 0.15 s"
    assert 50 <= delivery.latency_ms < 5000  # the timeout includes connecting, the latency does not


async def test_requests_with_close_deadlines_expire_and_never_early() -> None:
    async def never(connection: Connection) -> None:
        await connection.reader.read()

    async with serving(never) as server:
        deadlines, clock = Deadlines(), asyncio.get_running_loop().time
        connections = [await connect(read_endpoint(server.url).origin, None, None) for _ in range(20)]
        due = {connection: clock() + 0.05 + number / 1_000 for number, connection in enumerate(connections)}

        async def expire(connection: ClientConnection) -> float:
            deadlines.add(connection, due[connection])
            with pytest.raises(TimeoutError):
                await connection.send(b"a", ResponseParser(list[bytes]().append))
            return clock() - due[connection]

        late_s = await asyncio.gather(*map(expire, connections))
    assert min(late_s) >= -time.get_clock_info("monotonic").resolution  # asyncio rounds to the resolution


async def test_earlier_deadline_added_later_is_used() -> None:
    async def never(connection: Connection) -> None:
        await connection.reader.read()

    async with serving(never) as server:
        deadlines, now = Deadlines(), asyncio.get_running_loop().time()
        one, other = [await connect(read_endpoint(server.url).origin, None, None) for _ in range(2)]
        waiting = asyncio.create_task(one.send(b"a", ResponseParser(list[bytes]().append)))
        deadlines.add(one, now + 30)
        deadlines.add(other, now + 0.05)
        with pytest.raises(TimeoutError):
            await other.send(b"b", ResponseParser(list[bytes]().append))
        assert not waiting.done()
        waiting.cancel()


async def test_unreadable_response_is_broken_and_the_message_contains_the_target() -> None:
    for answer, word in [
        (b"", "closed the connection without a response"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", "closed the connection before its response was complete"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "could not be read"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "could not be read"),
    ]:
        async with serving(once(answer)) as server:
            delivery = await forward(request(), server.url)
        assert (delivery.status, delivery.fault) == (None, "broken")
        assert word in (delivery.error or "")
        assert server.url.removeprefix("http://") in (delivery.error or "")


async def test_response_is_read_before_the_server_has_read_the_request() -> None:
    refused = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlong"

    async def refuse(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.send(refused)
        while await connection.reader.read(2**20):
            pass

    async with serving(refuse) as server:
        delivery = await forward(request(b"x" * 20_000_000), server.url)
    assert (delivery.status, delivery.body) == (413, b"long")


async def test_request_after_a_failure_succeeds() -> None:
    talk, _ = always(b"nonsense\r\n\r\n", OK, b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", OK)
    async with serving(talk) as server, HttpClient(timeout_s=30, whole_body=True) as client:
        deliveries = await send_many(client, server.url, 4)
    assert [delivery.status for delivery in deliveries] == [None, 200, None, 200]


@given(st.binary(max_size=80), st.booleans())
def test_any_response_is_a_delivery_and_never_an_exception(answer: bytes, is_headed: bool) -> None:
    async def exchange() -> Delivery:
        head = b"HTTP/1.1 200 OK\r\n" if is_headed else b""
        async with serving(once(head + answer.replace(b"|", b""))) as server:
            return await forward(request(), server.url, timeout_s=5)

    delivery = asyncio.run(exchange())
    assert (delivery.status is None) == (delivery.fault is not None) == (delivery.error is not None)


# --- TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, and the certificate of its authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    path = tmp_path / "server.pem"
    path.write_bytes(issued.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes())
    return path


def tls_server(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_certificate_is_rejected_with_a_reason_unless_it_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, requests = always(OK)
    async with serving(talk, tls=tls_server(certificate)) as server:
        delivery = await forward(request(), server.url)
        assert delivery.fault == "unreachable"
        assert f"no TLS connection to {server.url.removeprefix('https://')}" in (delivery.error or "")
        assert requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with HttpClient(timeout_s=30, whole_body=True) as client:
            assert all(delivery.ok for delivery in await send_many(client, server.url, 2))
    assert len(requests) == 2
    assert len({number for number, _ in requests}) == 1  # the connection is reused


def test_certificate_authorities_of_certifi_are_trusted_when_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = tmp_path / "none.pem"
    empty.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_trust().cert_store_stats()["x509_ca"] > 0


async def test_target_without_tls_is_unreachable_over_https() -> None:
    async def refuse(connection: Connection) -> None:
        await connection.reader.read(1)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(refuse) as server:
        delivery = await forward(request(), server.url.replace("http:", "https:"), timeout_s=30)
        place = server.url.removeprefix("http://")
    assert (delivery.fault, delivery.error) == (
        "unreachable", f"{place} does not use TLS, so its URL begins with http://",
    )  # fmt: skip


# --- what a replay retains, and what a client must not do


async def test_only_the_beginning_of_a_long_body_is_returned() -> None:
    async with serving(once(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"ab" * 100_000)) as server:
        delivery = await show(request(), server.url)
    assert delivery.body == (b"ab" * 100_000)[:SHOWN_BYTES]


async def test_compressed_body_is_decompressed_only_for_display() -> None:
    begin = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
    body = gzip.compress(b"hello", mtime=0).replace(b"|", b"")
    talk, _ = always(begin % len(body) + body)
    async with serving(talk) as server:
        assert (await show(request(), server.url)).body == b"hello"
        assert (await forward(request(), server.url)).body == body
    talk, _ = always(begin % 4 + b"nope")
    async with serving(talk) as server:
        delivery = await show(request(), server.url)
    assert (delivery.status, delivery.fault) == (None, "broken")
    assert "cannot be decompressed" in (delivery.error or "")


async def test_redirects_are_not_followed_and_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    talk, requests = always(b"HTTP/1.1 307 x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
    async with serving(talk) as server:
        # The server listens on 127.0.0.1, but localhost is often ::1 first, which refuses connections.
        delivery = await show(request(), server.url.replace("127.0.0.1", "localhost"))
    assert (delivery.status, len(requests)) == (307, 1)


async def test_latency_lasts_from_the_first_byte_sent_to_the_last_byte_received() -> None:
    async def slow(connection: Connection) -> None:
        await connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
        await asyncio.sleep(0.06)
        connection.send(b"k")

    async with serving(slow) as server:
        delivery = await show(request(), server.url)
    assert delivery.status == 200
    assert 55 < delivery.latency_ms < 5_000


async def test_latency_does_not_include_the_connection_setup(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve() -> None:
        connection, _ = listening.accept()
        time.sleep(0.5)  # before the TLS handshake
        with tls_server(certificate).wrap_socket(connection, server_side=True) as it:
            it.recv(65536)
            it.sendall(OK)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        delivery = await show(request(), f"https://127.0.0.1:{listening.getsockname()[1]}/")
        thread.join()
    assert delivery.status == 200
    assert delivery.latency_ms < 500


async def test_unusable_url_or_header_is_a_failed_delivery() -> None:
    for url in [
        "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://[::1/", "ftp://127.0.0.1/", "nonsense",
        "http:///x",
    ]:  # fmt: skip
        delivery = await show(request(), url)
        assert (delivery.status, delivery.fault) == (None, "broken")
        assert "cannot be sent as HTTP" in (delivery.error or "")
    talk, requests = always(OK)
    async with serving(talk) as server:
        delivery = await show(request(b"{}", ("x", "a\r\nb: c")), server.url)
    assert delivery.fault == "broken"
    assert "cannot be sent as HTTP" in (delivery.error or "")
    assert requests == []


# --- a slow sender


def records(*, respond: bool = True) -> tuple[Talk, list[bytes]]:
    """Return a talk that responds to complete requests, and the list of the parts in which they arrive."""
    parts: list[bytes] = []

    async def talk(connection: Connection) -> None:
        while part := await connection.reader.read(2**20):
            parts.append(part)
            if respond and b"".join(parts).endswith(b"end"):
                connection.send(OK)

    return talk, parts


async def test_request_sent_slowly_arrives_in_pieces() -> None:
    for pieces, count in [(4, 4), (1, 1), (0, 1), (500, 62)]:
        talk, parts = records()
        async with serving(talk) as server, HttpClient(timeout_s=30) as client:
            delivery = await client.send_slowly(request(b"0123456789 end"), server.url, pieces=pieces, pause_s=0.002)
        assert (delivery.status, delivery.body, delivery.error) == (200, b"ok", None)
        assert b"".join(parts) == b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 14\r\n\r\n0123456789 end"
        assert len(parts) == count
        assert {len(part) for part in parts[:-1]} <= {-(-62 // count)}
        assert delivery.latency_ms >= (count - 1) * 2  # the pauses count


async def test_early_response_ends_the_sending_of_a_slow_request() -> None:
    received = bytearray()

    async def refuse(connection: Connection) -> None:
        received.extend(await connection.reader.read(2**20))
        connection.send(b"HTTP/1.1 401 No\r\ncontent-length: 4\r\n\r\nlong")
        received.extend(await connection.reader.read())

    async with serving(refuse) as server, HttpClient(timeout_s=60) as client, asyncio.timeout(20):
        delivery = await client.send_slowly(request(b"x" * 100), server.url, pieces=2, pause_s=50)
        await server.ended.wait()
    assert (delivery.status, delivery.body) == (401, b"long")
    assert len(received) == 75  # half of the request


async def test_slow_and_partial_requests_have_their_own_connections() -> None:
    talk, requests = always(OK)
    async with serving(talk) as server, HttpClient(timeout_s=30) as client:
        await client.send(request(), server.url)
        await client.send_slowly(request(), server.url, pieces=2, pause_s=0)
        await server.ended.wait()
        server.ended.clear()
        await client.send(request(), server.url)
        await client.send_partly(request(), server.url)
        await server.ended.wait()
        await client.send(request(), server.url)
    assert [number for number, _ in requests] == [0, 1, 0, 0]
    assert len(server.connections) == 3


async def test_slow_request_ends_at_the_timeout() -> None:
    talk, parts = records(respond=False)
    async with serving(talk) as server, HttpClient(timeout_s=0.15) as client:
        delivery = await client.send_slowly(request(b"x" * 1000), server.url, pieces=1000, pause_s=0.01)
        await server.ended.wait()
    assert (delivery.status, delivery.fault, delivery.error) == (None, "timeout", "no response within 0.15 s")
    assert len(parts) < 1000


async def test_slow_request_is_a_failed_delivery_when_the_target_disconnects() -> None:
    async def leave(connection: Connection) -> None:
        await connection.reader.read(1)

    async with serving(leave) as server, HttpClient(timeout_s=30) as client, asyncio.timeout(20):
        delivery = await client.send_slowly(request(b"x" * 1000), server.url, pieces=2, pause_s=50)
    assert (delivery.status, delivery.fault) == (None, "broken")


# --- a client that disconnects


async def test_partial_request_has_the_full_content_length_and_half_of_its_body() -> None:
    for size in [2, 7, 6_000_000]:
        talk, parts = records(respond=False)
        async with serving(talk) as server, HttpClient(timeout_s=30) as client:
            assert await client.send_partly(request(b"x" * size), server.url) is None
            await server.ended.wait()
        assert b"".join(parts) == b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * (
            size // 2
        )
    talk, parts = records(respond=False)
    async with serving(talk) as server, HttpClient(timeout_s=30) as client:
        assert await client.send_partly(request(b"", method="GET"), server.url) is None
        await server.ended.wait()
    assert b"".join(parts) == b"GET / HTTP/"


async def test_partial_request_is_sent_over_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    talk, parts = records(respond=False)
    async with (
        serving(talk, tls=tls_server(certificate)) as server,
        HttpClient(timeout_s=30) as client,
        asyncio.timeout(20),
    ):
        assert await client.send_partly(request(b"x" * 1000), server.url) is None
        await server.ended.wait()
    assert b"".join(parts).partition(b"\r\n\r\n")[2] == b"x" * 500


async def test_unsendable_slow_and_partial_requests_are_failed_deliveries() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{free.getsockname()[1]}/"
        for url, fault in ((refusing, "unreachable"), ("ftp://127.0.0.1/", "broken")):
            async with HttpClient(timeout_s=30) as client:
                slow = await client.send_slowly(request(), url, pieces=3, pause_s=50)
                partial = await client.send_partly(request(), url)
            assert partial is not None
            assert [(each.status, each.fault, each.url) for each in (slow, partial)] == [(None, fault, url)] * 2
            assert slow.error == partial.error
