"""The example handlers reject hostile requests, survive them, and accept each run once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from tests import prepared
from tests.installed import needs, path_of
from tests.process.test_example_suites import PREPARED
from tests.processes import environment

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPRESS = next((folder for folder in (PREPARED, EXAMPLES / "express" / "node_modules") if folder.is_dir()), PREPARED)
SECRET = "the-secret-of-the-examples"
OLD_S = 301
RUN_ID = re.compile(r"r_[0-9a-f]{16}")
Fields = list[tuple[str, bytes]]


def of_an_action(run_id: str, title: str) -> dict[str, Any]:
    properties = {"title": title, "cpu": 2}
    return {"action": "create_vm", "context": {"runId": run_id}, "payload": {"properties": properties}}


def of_a_template(run_id: str, title: str) -> dict[str, Any]:
    return {"runId": run_id, "vm": {"title": title, "cpu": 2}}


def of_a_node(run_id: str, title: str) -> dict[str, Any]:
    return {"nodeRunId": f"wfnr_{run_id}", "service": title}


@dataclass(frozen=True)
class Example:
    """How an example is started, the body that it takes, and its response."""

    command: tuple[str, ...]
    body: Callable[[str, str], dict[str, Any]]
    path: str = "/"
    folder: str = "."
    accepted: int = 202
    reports: bool = True


class Call(BaseHTTPRequestHandler):
    """A call of Port's API, which succeeds."""

    server: Calls

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.record(self.command, self.path)
        body = b'{"accessToken": "t"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PATCH = do_POST  # noqa: N815 - the name in http.server

    def log_message(self, *_: object) -> None:
        """Print no line for each call."""


class Calls(ThreadingHTTPServer):
    """Port's API, as far as the examples use it. It takes every call and checks none."""

    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Call)
        self._calls: dict[str, list[str]] = {}
        self._changed = threading.Condition()

    def record(self, method: str, path: str) -> None:
        with self._changed:
            for run_id in RUN_ID.findall(path):
                self._calls.setdefault(run_id, []).append(method)
            self._changed.notify_all()

    def about(self, body: bytes) -> list[str]:
        """Return the methods of the calls about the run in a body."""
        return self._calls.get(RUN_ID.findall(body.decode())[0], [])

    def wait_for(self, body: bytes) -> bool:
        """Wait until the run in a body has been ended, for at most 10 seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: "PATCH" in self.about(body), 10)


@dataclass(frozen=True)
class Handler:
    """A running example, and its reports."""

    example: Example
    port: int
    calls: Calls

    def body(self, title: str = "dev-env") -> bytes:
        """Return the body of a new run."""
        return json.dumps(self.example.body(f"r_{token_hex(8)}", title), ensure_ascii=False).encode()

    def send(self, body: bytes, fields: Fields) -> int:
        """Send a request and return the status of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest("POST", self.example.path)
        for name, value in [*fields, ("Content-Length", str(len(body)).encode())]:
            connection.putheader(name, value)
        connection.endheaders(body)
        status = connection.getresponse().status
        connection.close()
        return status

    def accepts(self, body: bytes | None = None) -> bool:
        """Return whether a valid request is accepted."""
        body = self.body() if body is None else body
        return self.send(body, signed(body)) == self.example.accepted

    def reports_of(self, body: bytes) -> list[str]:
        """Return the methods of the calls about a run, after a later accepted run has ended."""
        later = self.body()
        assert self.accepts(later)
        if not self.example.reports:
            return ["POST", "PATCH"]
        for each in (later, body):
            assert self.calls.wait_for(each)
        return self.calls.about(body)


PYTHON = sys.executable
RUNNING = {
    "handler.py": Example((PYTHON, "handler.py", "0"), of_an_action),
    "handler.py with a node": Example((PYTHON, "handler.py", "0"), of_a_node),
    "handler.mjs": Example(("node", "handler.mjs", "0"), of_an_action, accepted=200, reports=False),
    "workflows": Example((PYTHON, "workflow_handler.py", "0"), of_a_node, folder="workflows"),
    "express": Example(("node", "server.js", "0"), of_a_template, "/port/create-vm", "express"),
    "flask": Example(
        (PYTHON, "-m", "flask", "--app", "flask_handler", "run", "--port", "0"),
        of_a_template,
        "/port/create-vm",
        "flask",
    ),
    "fastapi": Example(
        (PYTHON, "-m", "uvicorn", "fastapi_handler:app", "--port", "0"), of_a_template, "/port/create-vm", "fastapi"
    ),
}
MARKS: Mapping[str, Any] = {
    "handler.py with a node": pytest.mark.extended,
    "handler.mjs": needs("node"),
    "workflows": pytest.mark.extended,
    "express": (
        pytest.mark.extended,
        needs("node"),
        pytest.mark.skipif(not EXPRESS.is_dir(), reason="Express is not installed"),
    ),
    "flask": pytest.mark.extended,  # large libraries, as in test_example_suites.py
    "fastapi": (pytest.mark.extended, pytest.mark.skipif(not find_spec("uvicorn"), reason="uvicorn is not installed")),
}


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    with Calls() as calls:
        thread = threading.Thread(target=calls.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield calls
        calls.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=MARKS.get(name, ())) for name in RUNNING])
def handler(
    request: pytest.FixtureRequest, calls: Calls, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Handler]:
    example = RUNNING[request.param]
    url = f"http://127.0.0.1:{calls.server_port}"
    credentials = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": SECRET, "PORT_API_URL": url}
    environ = environment(tmp_path_factory.mktemp("home"), NODE_PATH=str(EXPRESS), **credentials)
    command = [path_of(example.command[0]) if example.command[0] == "node" else PYTHON, *example.command[1:]]
    with prepared.Popen(
        command,
        cwd=EXAMPLES / example.folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        port = next(int(found[1]) for line in process.stdout if (found := re.search(r"http://127.0.0.1:(\d+)", line)))
        with ThreadPoolExecutor(1) as reader:
            reader.submit(process.stdout.read)  # so that the handler never waits for a reader
            yield Handler(example, port, calls)
            is_running = process.poll() is None
            process.kill()
    assert is_running


def signature(body: bytes, timestamp: bytes, secret: str = SECRET) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(secret.encode(), timestamp + b"." + body, hashlib.sha256))


def signed(body: bytes, *, seconds: int = 0, secret: str = SECRET) -> Fields:
    """Return the headers of a body signed this many seconds from now."""
    timestamp = str(int(time.time()) + seconds).encode()
    return [("X-Port-Signature", signature(body, timestamp, secret)), ("X-Port-Timestamp", timestamp)]


def with_signature(value: bytes) -> Callable[[bytes], Fields]:
    return lambda body: [("X-Port-Signature", value), signed(body)[1]]


def with_timestamp(value: bytes) -> Callable[[bytes], Fields]:
    return lambda body: [("X-Port-Signature", signature(body, value)), ("X-Port-Timestamp", value)]


REFUSED: dict[str, Callable[[bytes], Fields]] = {
    "no headers": lambda _: [],
    "no signature": lambda body: signed(body)[1:],
    "no timestamp": lambda body: signed(body)[:1],
    "empty signature": with_signature(b""),
    "x": with_signature(b"x"),
    "v1": with_signature(b"v1"),
    "v1,": with_signature(b"v1,"),
    "long": with_signature(b"v1," + b"A" * 5000),
    "not ASCII": with_signature("é".encode()),
    "two signatures": lambda body: signed(body)[:1] * 2 + signed(body)[1:],
    "two timestamps": lambda body: signed(body) + signed(body)[1:],
    "prefix": lambda body: [("X-Port-Signature", signed(body)[0][1][:11]), signed(body)[1]],
    "another secret": lambda body: signed(body, secret="another"),
    "old": lambda body: signed(body, seconds=-OLD_S),
    "future": lambda body: signed(body, seconds=OLD_S + 5),
    "empty timestamp": with_timestamp(b""),
    "long timestamp": with_timestamp(b"1" * 5000),
    "timestamp is not a number": with_timestamp(b"now"),
    "timestamp is not ASCII": with_timestamp("é".encode()),
}


OTHER_SHAPES = (
    *(b"", b"not JSON", b"[]", b"null", b"1", b"{}", b'{"runId":1,"vm":{}}', b"{\xff}"),
    b"[" * 3000 + b"]" * 3000,
)


def test_example_rejects_requests_without_ports_signature(handler: Handler) -> None:
    for case, headers in REFUSED.items():
        body = handler.body()
        assert (handler.send(body, headers(body)), case) == (401, case)
        assert handler.accepts(body), case


def test_example_rejects_a_signed_body_of_another_shape(handler: Handler) -> None:
    for body in OTHER_SHAPES:
        assert (handler.send(body, signed(body)), body) == (422, body)
        assert (handler.send(body, signed(body, secret="another")), body) == (401, body)
        assert handler.accepts(), body


def test_example_accepts_large_bodies_and_other_forms_of_headers(handler: Handler) -> None:
    assert handler.accepts(handler.body("zoë \u2028" + "x" * 90_000))
    for change in (str.lower, str.upper):
        body = handler.body()
        fields = [*signed(body), ("Content-Type", b"application/json; charset=utf-8")]
        assert handler.send(body, [(change(name), value) for name, value in fields]) == handler.example.accepted


def test_example_survives_a_disconnecting_client(handler: Handler) -> None:
    with socket.create_connection(("127.0.0.1", handler.port), 10) as client:
        client.sendall(f"POST {handler.example.path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert handler.accepts()


def test_example_does_the_work_of_a_repeated_run_once(handler: Handler) -> None:
    body = handler.body()
    fields = signed(body)
    statuses = [handler.send(body, each) for each in (fields, fields, signed(body, seconds=-5))]
    assert statuses == [handler.example.accepted] * 3
    assert handler.reports_of(body) == ["POST", "PATCH"]


def test_example_does_the_work_of_concurrent_requests_once(handler: Handler) -> None:
    body = handler.body()
    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(handler.accepts, [body] * 20))
        assert all(threads.map(lambda _: handler.accepts(), range(20)))
    assert handler.reports_of(body) == ["POST", "PATCH"]


@pytest.mark.extended
def test_workflow_example_does_not_start_without_a_secret() -> None:
    example = RUNNING["workflows"]
    done = prepared.run(
        example.command,
        cwd=EXAMPLES / example.folder,
        env={"PATH": os.environ["PATH"], "PORT_CLIENT_ID": "i"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert "PORT_CLIENT_SECRET" in done.stderr
