"""A real listener under requests that no client should send.

It survives, responds or closes in time, and doesn't write a traceback. What it acknowledges with 2xx is in the store
byte for byte, and unsigned requests are neither saved as valid nor forwarded to the handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.models import Status
from tests.factories import SECRET
from tests.hostile import oracle
from tests.hostile.fuzzing import chance, how_to_repeat, report, rounds
from tests.hostile.mutations import BAD, GOOD, MOST_OF_A_BODY, Capture, Signer
from tests.prepared import Popen
from tests.processes import environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the listener is ended with SIGTERM")

CASES = 200  # in a round
AT_ONCE = 24
DEADLINE_S = 20.0
QUIET_S = 0.1
"""How long a bad request may stay without a response before the client closes its side."""

TROUBLE = re.compile(rb"Traceback|bug of its own|port-hook-crash|never retrieved|Error\(")


@dataclass
class Handler:
    """A handler that responds to each request with the digest of its body, and records the bodies.

    It reads bodies by content-length only, and serves one request at a time on a connection.
    """

    seen: list[tuple[list[tuple[str, str]], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = [
                    (name, value) for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:-2])
                ]
                length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
                body = await reader.readexactly(length)
                self.seen.append((fields, body))
                writer.write(f"HTTP/1.1 200 OK\r\nx-digest: {digest(body)}\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()


@dataclass
class Answers:
    """The responses on a connection: the statuses, and the digests of the acknowledged bodies."""

    raw: bytes = b""

    @property
    def heads(self) -> list[bytes]:
        found, rest = [], self.raw
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length: (\d+)", head)
            rest = rest[int(length[1]) if length else 0 :]
            if not head.startswith(b"HTTP/1.1 100"):
                found.append(head)
        return found

    @property
    def statuses(self) -> list[int]:
        return [int(head[9:12]) for head in self.heads]

    @property
    def acknowledged(self) -> list[str]:
        found = (re.search(rb"(?m)^x-digest: ([0-9a-f]{64})\r?$", head) for head in self.heads if head[9:10] == b"2")
        return [match[1].decode() if match else "a 2xx that is not the handler's" for match in found]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@contextlib.contextmanager
def a_listener(folder: Path, handler: str) -> Iterator[tuple[Popen, int]]:
    options = [
        "--json",
        "--port",
        "0",
        "--verify",
        "strict",
        "--max-body",
        str(MOST_OF_A_BODY),
        "--forward-to",
        handler,
    ]
    with (folder / "stderr").open("wb") as stderr:
        process = Popen(
            [sys.executable, "-m", "port_hook_cli", "listen", *options],
            cwd=folder,
            env=environment(folder, TMPDIR=str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    ready = process.stdout.readline()
    reader = threading.Thread(target=process.stdout.read, daemon=True)  # records that nobody reads would be left out
    reader.start()
    try:
        match = re.search(rb'"url":"http://127\.0\.0\.1:(\d+)', ready)
        assert match, (folder / "stderr").read_text()
        yield process, int(match[1])
    finally:
        process.kill()
        process.wait(30)
        reader.join(30)
        process.stdout.close()


async def talk(port: int, capture: Capture) -> Answers:
    """Send the request of `capture` and return the responses. Raises TimeoutError without a response or an end."""
    answers = Answers()
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            with contextlib.suppress(ConnectionError):
                for part in capture.parts:
                    writer.write(part)
                    await writer.drain()
                if capture.half_closes:
                    writer.write_eof()
                await read(reader, writer, capture, answers)
        finally:
            writer.transport.abort()
    return answers


async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, capture: Capture, answers: Answers) -> None:
    quiet_s = None if capture.expected is not None or capture.half_closes else QUIET_S
    while True:
        try:
            part = await asyncio.wait_for(reader.read(65536), quiet_s)
        except TimeoutError:
            if quiet_s is None:
                raise
            quiet_s = None
            writer.write_eof()
            continue
        answers.raw += part
        if not part or (capture.expected is not None and len(answers.statuses) >= len(capture.expected)):
            return


@dataclass
class Round:
    """One listener and the requests sent to it."""

    number: int
    signer: Signer
    port: int
    acknowledged: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)

    async def run(self) -> None:
        cases = iter(range(CASES))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._worker(cases))

    async def _worker(self, cases: Iterator[int]) -> None:
        for index in cases:
            rng = chance("receiver", self.number, index)
            make = rng.choice(GOOD if rng.random() < 0.3 else BAD)
            capture = make(rng, self.signer)
            failed = f"{capture.kind}: {b''.join(capture.parts)[:3000]!r}\n{how_to_repeat(self.number, index)}"
            try:
                answers = await talk(self.port, capture)
            except (TimeoutError, OSError) as error:
                raise AssertionError(f"{error!r} instead of a response to {failed}") from error
            self._note(capture, answers, failed)

    def _note(self, capture: Capture, answers: Answers, failed: str) -> None:
        assert all(200 <= status < 502 for status in answers.statuses), f"{answers.raw!r} to {failed}"
        assert 500 not in answers.statuses, f"{answers.raw!r} to {failed}"
        forbidden = {digest(body) for body in capture.forbidden}
        assert not forbidden & set(answers.acknowledged), f"a request inside another was served, in {failed}"
        if capture.expected is not None:
            assert answers.acknowledged == [digest(body) for body in capture.expected], f"{answers.raw!r} to {failed}"
        self.acknowledged.update(answers.acknowledged)
        self.statuses.update(answers.statuses)


async def fuzz(number: int, folder: Path) -> Counter[int]:
    """Run one round in `folder`, check its captures, and return how often each status was sent."""
    handler = Handler()
    server = await asyncio.start_server(handler.serve, "127.0.0.1", 0, limit=2**22)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with a_listener(folder, url) as (process, port):
            round_ = Round(number, Signer(SECRET.reveal(), f"127.0.0.1:{port}"), port)
            await round_.run()
            assert process.poll() is None, "the listener has ended"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 20) == 0
    check_stderr(folder)
    check_handler(handler, round_)
    check_store(folder, round_)
    return round_.statuses


def check_stderr(folder: Path) -> None:
    written = (folder / "stderr").read_bytes()
    assert not TROUBLE.search(written), written.decode("utf-8", "replace")[-5000:]
    assert list(folder.glob("port-hook-crash-*")) == []


def check_handler(handler: Handler, round_: Round) -> None:
    for fields, body in handler.seen:
        assert body in round_.signer.signed, f"the handler got {fields} {body!r}\n{how_to_repeat(round_.number)}"
        assert oracle.is_valid(fields, body, SECRET.reveal(), now=time.time()), (fields, body)


def check_store(folder: Path, round_: Round) -> None:
    kept: Counter[str] = Counter()
    with open_store(None, folder) as store:
        for capture in store.select():
            invocation = capture.invocation
            fields = invocation.headers.items
            expected = oracle.is_valid(fields, invocation.body, SECRET.reveal(), now=invocation.received_at)
            assert (capture.verdict.status is Status.VALID) == expected, (capture, how_to_repeat(round_.number))
            assert not expected or invocation.body in round_.signer.signed, (capture, how_to_repeat(round_.number))
            kept[digest(invocation.body)] += expected
    lost = round_.acknowledged - kept
    assert not lost, f"{lost.total()} acknowledged requests are not in the store\n{how_to_repeat(round_.number)}"


async def test_listener_survives_hostile_clients_without_losing_captures(tmp_path: Path) -> None:
    statuses: Counter[int] = Counter()
    for number in rounds():
        folder = tmp_path / f"round-{number}"
        folder.mkdir()
        statuses += await fuzz(number, folder)
    told = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    report(f"receiver: {(number + 1) * CASES} connections got {told}")
    # Otherwise the test would show nothing.
    assert statuses[200] > CASES / 10
    assert statuses[400] > CASES / 20
    assert statuses[401] > CASES / 50
