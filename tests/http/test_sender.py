from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from port_hook_cli.http.sender import KEPT_BYTES, Sender, system_trust
from port_hook_cli.invocations.models import Delivery, Headers, Invocation
from tests.factories import an_invocation
from tests.servers import Handler, handler

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def request(body: bytes = b"{}", *fields: tuple[str, str], method: str = "POST") -> Invocation:
    return an_invocation(body, headers=Headers(fields), method=method)


async def send(invocation: Invocation, url: str, *, timeout_s: float = 10.0) -> Delivery:
    async with Sender(timeout_s=timeout_s) as sender:
        return await sender.send(invocation, url)


@pytest.fixture(scope="module")
def target() -> Iterator[Handler]:
    with handler(OK) as it:
        yield it


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """Serve connections with `serve`; what is open at the end is closed."""
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.append(asyncio.ensure_future(accept(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task, writer in zip(tasks, writers, strict=True):
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def answering(*parts: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


async def test_the_request_goes_out_byte_for_byte(target: Handler) -> None:
    fields = (
        ("HOST", "elsewhere"),
        ("X-B", "1"),
        ("x-a", "Zo\xc3\xab"),
        ("Content-Length", "9"),
        ("X-b", "2"),
        ("empty", ""),
    )
    await send(request(b'{"\xc3\xa9": 1}'[:9], *fields, method="PATCH"), f"{target.url}/a/../b%2F//c?q=%20&q=[1]&r")
    got = target.requests[-1]
    assert got.line == "PATCH /a/../b%2F//c?q=%20&q=[1]&r HTTP/1.1"
    assert tuple(got.fields) == fields
    assert got.body == b'{"\xc3\xa9": 1}'[:9]


async def test_only_host_and_length_are_added(target: Handler) -> None:
    await send(request(b"123", ("a", "b")), target.url)
    assert target.requests[-1].fields == [
        ("Host", target.url.removeprefix("http://")),
        ("a", "b"),
        ("Content-Length", "3"),
    ]


async def test_a_get_without_a_body_has_no_length_and_one_with_a_body_has(target: Handler) -> None:
    await send(request(b"", method="GET"), target.url)
    assert target.requests[-1].value("content-length") is None
    await send(request(b"{}", method="GET"), target.url)
    assert target.requests[-1].body == b"{}"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000))
def test_any_body_arrives_as_it_is(target: Handler, body: bytes) -> None:
    delivery = asyncio.run(send(request(body), target.url))
    assert delivery.status == 200
    assert target.requests[-1].body == body


async def test_what_http_cannot_carry_in_a_path_is_escaped(target: Handler) -> None:
    await send(request(), f"{target.url}/zoë/a b?q=\udcff\x01")
    assert target.requests[-1].line == "POST /zo%C3%AB/a%20b?q=%FF%01 HTTP/1.1"


async def test_a_delivery_holds_status_fields_and_body() -> None:
    async with serving(
        answering(b"HTTP/1.1 418 I'm a teapot\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 4\r\n\r\n\xff\x00hi")
    ) as url:
        delivery = await send(request(), url)
    assert (delivery.status, delivery.body, delivery.url) == (418, b"\xff\x00hi", url)
    assert delivery.headers.all("X-A") == ("1", "2")
    assert (delivery.fault, delivery.error) == (None, None)


async def test_latency_runs_from_the_first_byte_to_the_last() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
        await asyncio.sleep(0.06)
        writer.write(b"k")

    async with serving(slow) as url:
        delivery = await send(request(), url)
    assert delivery.status == 200
    assert 55 < delivery.latency_ms < 5_000


async def test_redirects_are_not_followed() -> None:
    async with serving(
        answering(b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
    ) as url:
        delivery = await send(request(), url)
    assert delivery.status == 307


async def test_of_a_long_answer_the_beginning_is_kept() -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b"ab" * 100_000)) as url:
        delivery = await send(request(), url)
    assert delivery.body == (b"ab" * 100_000)[:KEPT_BYTES]


async def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(b"hello")
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with serving(answering(head, body)) as url:
        delivery = await send(request(), url)
    assert delivery.body == b"hello"


async def test_proxies_of_the_environment_are_not_asked(target: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await send(request(), target.url)).status == 200


def test_where_the_system_trusts_nobody_certifis_authorities_are_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = tmp_path / "none.pem"
    nobody.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(nobody))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_trust().cert_store_stats()["x509_ca"] > 0


async def test_one_connection_serves_one_send_after_another() -> None:
    connections = 0

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"{}")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async with serving(keep) as url, Sender(timeout_s=10) as sender:
        for _ in range(3):
            assert (await sender.send(request(), url)).status == 200
    assert connections == 1


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken but not listened on."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        yield it.getsockname()[1]


async def test_nothing_that_listens_is_unreachable(closed_port: int) -> None:
    delivery = await send(request(), f"http://127.0.0.1:{closed_port}/")
    assert (delivery.status, delivery.fault) == (None, "unreachable")
    assert delivery.error == f"nothing listens on 127.0.0.1:{closed_port}: is your backend running?"


async def test_a_name_that_cannot_be_resolved_is_unreachable() -> None:
    # Refused by the resolver before anything is asked: a label may have 63 characters.
    delivery = await send(request(), f"http://{'a' * 64}.invalid/")
    assert delivery.fault == "unreachable"


async def test_a_resolvers_no_is_told_in_words() -> None:
    def resolve(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such name") from socket.gaierror(-2, "Name or service not known")

    async with Sender(timeout_s=10, open_transport=lambda: httpx.MockTransport(resolve)) as sender:
        delivery = await sender.send(request(), "http://nowhere.example:80/")
    assert (delivery.fault, delivery.error) == ("unreachable", "the name in nowhere.example:80 cannot be resolved")


async def test_a_target_without_tls_is_unreachable_over_https() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()  # closing with bytes unread would reset the connection before the answer is seen

    async with serving(plain) as url:
        delivery = await send(request(), url.replace("http:", "https:"))
    assert delivery.fault == "unreachable"
    assert "TLS" in (delivery.error or "")


async def test_a_target_that_says_nothing_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as url:
        delivery = await send(request(), url, timeout_s=0.05)
    assert (delivery.fault, delivery.error) == ("timeout", "no answer within 0.05 s")


async def test_the_time_limit_is_for_the_whole_answer() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with serving(drip) as url:
        delivery = await send(request(), url, timeout_s=0.1)
    assert delivery.fault == "timeout"


async def test_zero_waits_for_ever(target: Handler) -> None:
    assert (await send(request(), target.url, timeout_s=0)).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
        b"SSH-2.0-OpenSSH_10.0\r\n",
    ],
)
async def test_an_answer_that_is_none_is_broken(answer: bytes) -> None:
    async with serving(answering(answer)) as url:
        delivery = await send(request(), url)
    assert (delivery.status, delivery.fault) == (None, "broken")
    assert delivery.error


@pytest.mark.parametrize(
    "field", [("bad name", "x"), ("x", "a\r\nb: c"), ("x", "\x00"), ("content-length", "99"), ("", "x")]
)
async def test_fields_that_http_forbids_are_told_not_sent(target: Handler, field: tuple[str, str]) -> None:
    before = len(target.requests)
    delivery = await send(request(b"{}", field), target.url)
    assert delivery.fault == "broken"
    assert "cannot be sent as HTTP" in (delivery.error or "")
    assert len(target.requests) == before


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://[::1/", "ftp://127.0.0.1/", "nonsense", "http:///x"],
)
async def test_an_impossible_url_is_a_delivery_too(url: str) -> None:
    delivery = await send(request(), url)
    assert delivery.status is None
    assert delivery.fault in {"unreachable", "broken"}
    assert delivery.error


async def test_being_cancelled_is_not_swallowed() -> None:
    arrived = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    async with serving(silent) as url:
        task = asyncio.ensure_future(send(request(), url))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
