"""What the inspector costs: a listener's rate with open pages, its start with a large store, and the page's answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from bench.growing import a_store
from bench.measuring import PORT_HOOK, at_least, at_most, interleaved, load, ratio, row
from bench.servers import listening

# The longest answer in milliseconds, by the number of captures in the store.
_LONGEST_MS = {10_000: 200, 100_000: 2_000}
_FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "a text in none": {"text": "is not in any of them"},
    "a text in all": {"text": "create_vm"},
    "failed": {"handler": "failed"},
    "a user": {"user": "nobody@example.com"},
    "a run": {"run": "r_0000000000absent"},
}


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


def page(rounds: int = 3, settled_s: float = 2.0) -> None:
    """Measure an inspector's start, and its answers: the first rows, all numbers, and the counts over time."""
    for count, most in _LONGEST_MS.items():
        with _inspector(a_store(count)) as (_, client):
            time.sleep(settled_s)
            for name, filters in _FILTERS.items():
                # The inspector reuses a search for the same filter, so each round has another `since`.
                taken = [_answers_ms(client, {**filters, "since": since}) for since in range(rounds)]
                found = [median(each) for each in zip(*taken, strict=True)]
                figures = " / ".join(f"{each:.0f}" for each in found) + " ms"
                row(f"page of {count:,}, {name}: rows / numbers / counts", figures, max(found), at_most(most, "ms"))
    used = median(_processor_s(settled_s) for _ in range(rounds))
    row("processor time of an inspector's start with 10,000 captures", "", used, at_most(0.6, "s"))


def _answers_ms(client: httpx.Client, filters: dict[str, Any]) -> list[float]:
    found = []
    for path in ("captures", "spans", "histogram"):
        began = time.perf_counter()
        client.get(f"/api/{path}", params=filters).raise_for_status()
        found.append((time.perf_counter() - began) * 1000)
    return found


def _processor_s(settled_s: float) -> float:
    with _inspector(a_store(10_000)) as (process, _):
        time.sleep(settled_s)
        process.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _inspector(folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    command = [*PORT_HOOK, "inspect", "--no-open"]
    environment = {**os.environ, "HOME": str(folder)}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().split()[-1])
        token = parse_qs(url.fragment)["token"][0]
        with httpx.Client(
            base_url=f"http://{url.netloc}", headers={"authorization": f"Bearer {token}"}, timeout=60
        ) as client:
            yield process, client
        if process.returncode is None:
            process.terminate()
