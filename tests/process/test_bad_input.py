"""One listener in text mode that gets all kinds of invalid input: it responds, saves it, shows it safely, and lives."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from port_hook_cli.captures.documents.capture_fields import truncate
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Status
from tests.factories import a_body, a_document, now_signed
from tests.processes import Listener, running

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\x00\r\n[/x][bold red]\u202e\u2028\ud800"
# Control characters but line feeds and tabs, line separators, and what turns the direction of writing.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
MIB = 1024 * 1024
_numbers = count()


@dataclass
class Listening:
    """The listener, the file that its stdout goes to, and its folder."""

    listener: Listener
    shown: Path
    folder: Path

    def send(self, body: bytes, headers: Headers | None = None) -> tuple[int, Capture]:
        """Send a body, signed unless `headers` are set. Return the response's status and the capture."""
        target = f"/{next(_numbers)}"
        status, answer = self.listener.post(body, headers or now_signed(body), target=target)
        assert json.loads(answer)["ok"] is (status == 200)
        with open_store(None, self.folder) as store:
            (capture,) = (found for found in store.select(limit=3) if found.invocation.target == target)
        return status, capture

    def is_alive(self) -> bool:
        body = a_body(a_document(number=next(_numbers)))
        return self.send(body)[0] == 200 and self.listener.process.poll() is None


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    folder = tmp_path_factory.mktemp("bad-input")
    shown = folder / "stdout.txt"
    with (
        shown.open("wb") as stdout,
        running(folder, "listen", "--port", "0", stdout=stdout) as process,
    ):
        match = re.match(r"Listening on\s+(http://\S+)", process.stderr.readline().decode())
        assert match
        yield Listening(Listener(process, {"url": match[1]}), shown, folder)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
    # What holds for everything that any test here has sent.
    for output in (shown.read_bytes(), told):
        text = output.decode("utf-8")
        assert UNSAFE.findall(text) == []
        assert "Traceback" not in text
    assert process.returncode == 0


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def of_size(size: int) -> bytes:
    return b'{"filler":"' + b"x" * (size - 13) + b'"}'


BODIES = {
    "empty": b"",
    "whitespace": b" \r\n\t",
    "not json": b"hello",
    "half json": b'{"context": {"runId": ',
    "not utf-8": b'{"a": "\xff\xfe"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf{}",
    "every byte": bytes(range(256)) * 4,
    "a scalar": b"1",
    "nan": b'{"a": NaN, "b": 1e999}',
    "1 MiB": of_size(MIB),
    "10,000 lists": b"[" * 10_000 + b"]" * 10_000,
    "10,000 objects": nested(10_000),
    "900 objects": nested(900),
    "never closed": b"[" * 100_000,
    "lone surrogates escaped": b'{"\\ud800": "\\udfff \\ud83d"}',
    "lone surrogates raw": '{"a": "\ud800"}'.encode("utf-8", "surrogatepass"),
    "NULs": b'{"a\\u0000": "\\u0000"}\x00',
    "5,000 digits": b'{"n": ' + b"9" * 5_000 + b"}",
    "5,000 digits of a fraction": b'{"n": 0.' + b"3" * 5_000 + b"e-4000}",
    "doubled keys": b'{"a": 1, "a": 2, "__proto__": 3}',
    "hostile everywhere": json.dumps(
        {
            HOSTILE: HOSTILE,
            "action": HOSTILE,
            "trigger": {"by": {"user": {"email": HOSTILE}}, "origin": HOSTILE, "operation": HOSTILE},
            "context": {"runId": HOSTILE, "entity": HOSTILE, "blueprint": HOSTILE},
            "payload": {"properties": {HOSTILE: [HOSTILE]}, "censoredProperties": [HOSTILE]},
        }
    ).encode(),
    "a hostile event": json.dumps(
        {"event": {"action": HOSTILE, "diff": {"before": {HOSTILE: HOSTILE}, "after": {HOSTILE: [HOSTILE]}}}}
    ).encode(),
    "hostile text": HOSTILE.encode("utf-8", "surrogatepass"),
}


def test_any_signed_body_is_accepted_and_saved_byte_for_byte(listening: Listening) -> None:
    for name, body in BODIES.items():
        status, capture = listening.send(body)
        assert (name, status, capture.verdict.status) == (name, 200, Status.VALID)
        assert (name, capture.invocation.body) == (name, body)
    assert listening.is_alive()


def test_any_body_with_an_invalid_signature_is_rejected_and_saved_to_256_kib(listening: Listening) -> None:
    for name, body in BODIES.items():
        started = time.monotonic()
        status, capture = listening.send(body, now_signed(b"another body"))
        assert (name, status, capture.verdict.status) == (name, 401, Status.INVALID)
        assert capture.invocation == truncate(replace(capture.invocation, body=body, truncated=None)), name
        assert time.monotonic() - started < 30, name  # guards against a hang
    assert listening.is_alive()


def test_body_just_below_the_limit_is_accepted(listening: Listening) -> None:
    body = of_size(10 * MIB)
    status, capture = listening.send(body)
    assert (status, len(capture.invocation.body)) == (200, 10 * MIB)


def test_listen_responds_with_413_to_an_announced_body_of_50_mib_before_it_is_sent(listening: Listening) -> None:
    with socket.create_connection((listening.listener.host, listening.listener.port)) as connection:
        connection.settimeout(20)
        connection.sendall(b"POST /huge HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (50 * MIB))
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert listening.is_alive()


@pytest.mark.parametrize("head", [b"POST /%c HTTP/1.1", b"POST /\x1b[2J HTTP/1.1", b"\x1b[2J / HTTP/1.1", b"POST /"])
def test_request_line_with_control_characters_is_rejected(listening: Listening, head: bytes) -> None:
    with socket.create_connection((listening.listener.host, listening.listener.port)) as connection:
        connection.settimeout(30)
        connection.sendall(head + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 (400|401) ", connection.recv(100))
    assert listening.is_alive()
