"""A listener whose process may open few files, while clients open many connections."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.factories import a_body, signed
from tests.processes import Listener, listener

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
FILES = 400
LIMIT = ("RLIMIT_NOFILE", FILES, FILES)
BODY = a_body({"a": 1})


def accepts(running: Listener) -> bool:
    return running.post(BODY, signed(BODY, timestamp=str(int(time.time()))))[0] == 200


def inspector_port(running: Listener) -> int:
    """Return the port in the inspector's URL, which the listener prints on stderr."""
    line = next(line for line in running.process.stderr if line.startswith(b"Inspector "))
    return urlsplit(line.split()[1].decode()).port or 0


def until_accepted(port: int) -> None:
    """Wait until the server has accepted all connections up to now, by sending a request on one more."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as last, suppress(ConnectionError):
        last.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        last.recv(1)


@contextmanager
def idle_connections(port: int, count: int, *, sent: bytes = b"") -> Iterator[None]:
    with ExitStack() as stack:
        for number in range(count):
            if not number % 100:  # the system delays connections by a second while 128 wait to be accepted
                until_accepted(port)
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with suppress(ConnectionError):  # it is one too many
                connection.sendall(sent)
        yield


def test_listener_raises_its_limit_of_open_files(tmp_path: Path) -> None:
    import resource

    limit = ("RLIMIT_NOFILE", FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    with listener(tmp_path, limit=limit) as running, idle_connections(running.port, FILES + 50):
        assert accepts(running)


def test_listener_responds_with_503_to_further_connections_when_it_may_not_open_more_files(tmp_path: Path) -> None:
    with listener(tmp_path, limit=LIMIT) as running:
        with idle_connections(running.port, FILES + 50):
            assert accepts(running)
        with (
            idle_connections(
                running.port, FILES + 50, sent=b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            ),
            socket.create_connection(("127.0.0.1", running.port)) as one,
        ):
            one.settimeout(20)
            assert one.recv(100).startswith(b"HTTP/1.1 503 ")
        deadline = time.monotonic() + 30  # the listener closes its side of the idle connections one after the other
        while not accepts(running):
            assert time.monotonic() < deadline, "the listener refuses requests after the connections have ended"


def test_idle_connections_to_the_inspector_do_not_use_up_the_listeners_files(tmp_path: Path) -> None:
    with (
        listener(tmp_path, "--inspect", limit=LIMIT) as running,
        idle_connections(inspector_port(running), FILES + 50),
    ):
        assert accepts(running)
