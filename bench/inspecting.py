"""What an open inspector costs the listener: with a page that follows it, and with one that has stopped reading."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import parse_qs, urlsplit

from bench.measuring import at_least, interleaved, load, ratio, row
from bench.servers import listening


def inspector(requests: int = 10_000, rounds: int = 3) -> None:
    with ExitStack() as stack:
        plain = stack.enter_context(_listener())[0]
        followed, page = stack.enter_context(_listener("--inspect"))
        stopped, other = stack.enter_context(_listener("--inspect"))
        stack.enter_context(_reader(page))
        _connect(stack, other)  # and never read
        rates = interleaved(
            {
                "plain": lambda: load(plain, requests)["per_s"],
                "followed": lambda: load(followed, requests)["per_s"],
                "stopped": lambda: load(stopped, requests)["per_s"],
            },
            rounds=rounds,
        )
    for name, label in (("followed", "a page that follows"), ("stopped", "a page that stopped reading")):
        row(
            f"listen with {label} / without inspector",
            f"{median(rates[name]):.0f}/s / {median(rates['plain']):.0f}/s",
            ratio(rates[name], rates["plain"]),
            at_least(0.9),
        )


@contextmanager
def _listener(*options: str) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder, listening(folder, *options, log=Path(folder, "stderr")) as (url, _):
        page = ""
        deadline = time.monotonic() + 10
        while options and not page and time.monotonic() < deadline:
            log = Path(folder, "stderr")
            lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
            page = next((line.split()[1] for line in lines if line.startswith("Inspector ")), "")
        yield url, page


@contextmanager
def _reader(page: str) -> Iterator[None]:
    with ExitStack() as stack:
        connection = _connect(stack, page)

        def read() -> None:
            while connection.recv(65_536):
                pass

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        yield
        connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def _connect(stack: ExitStack, page: str) -> socket.socket:
    parts = urlsplit(page)
    connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port)))
    token = parse_qs(parts.fragment)["token"][0]
    connection.sendall(
        f"GET /api/events HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    )
    return connection
