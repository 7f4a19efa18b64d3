"""The tests' servers close every connection. Python would blame a later test for an open connection."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.hostile.wire import HostileServer, endless_chunks
from tests.servers import application, handler, in_thread

_REQUEST = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
_TAKE_DOWNS, _CLIENTS, _CONNECTIONS = 4, 3, 10


@pytest.fixture(autouse=True)
def _frozen() -> None:
    """Exclude the objects of earlier tests from garbage collection. Otherwise, each collection here takes 0.1 s."""
    gc.collect()
    gc.freeze()


def a_handler() -> Iterator[str]:
    with handler() as it:
        yield it.url


def an_application() -> Iterator[str]:
    with application(web.Application()) as url:
        yield url


def a_hostile_server() -> Iterator[str]:
    server = HostileServer(endless_chunks)
    with in_thread(server.start):
        yield server.url


def connect(url: str, over: threading.Event, connected: threading.Event) -> None:
    """Open connections until `over` is set, without closing any before."""
    parts = urlsplit(url)
    opened: list[socket.socket] = []
    for _ in range(_CONNECTIONS):
        with suppress(OSError):  # the server has ended
            opened.append(socket.create_connection((str(parts.hostname), int(parts.port or 0)), 1))
            connected.set()
            opened[-1].send(_REQUEST)
    over.wait(30)
    for connection in opened:
        connection.close()


@contextmanager
def clients(url: str) -> Iterator[None]:
    """Connect to `url` from several threads until the block ends."""
    over, connected = threading.Event(), threading.Event()
    threads = [threading.Thread(target=connect, args=(url, over, connected)) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        assert connected.wait(30)
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.parametrize("serve", [a_handler, an_application, a_hostile_server])
def test_server_in_a_thread_closes_connections_arriving_while_it_ends(
    serve: Callable[[], Iterator[str]],
) -> None:
    a_server: Callable[[], AbstractContextManager[str]] = contextmanager(serve)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(_TAKE_DOWNS):
            server = a_server()
            url = server.__enter__()
            with clients(url):
                server.__exit__(None, None, None)
            gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("turns", range(0, 6, 2))
async def test_server_closes_a_connection_arriving_just_before_it_ends(turns: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with HostileServer(endless_chunks).serve() as server:
            address = urlsplit(server.url)
            with socket.create_connection((str(address.hostname), int(address.port or 0))):
                for _ in range(turns):
                    await asyncio.sleep(0)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
