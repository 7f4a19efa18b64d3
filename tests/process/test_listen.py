"""`port-hook listen` as a process: what it receives, forwards, responds and saves."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Simulated
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_document, now_signed
from tests.processes import NO_TUNNEL, Listener, environment, listener
from tests.servers import Handler, handler, open_port
from tests.sockets import free_port

UNSIGNED = Headers((("Host", "localhost"),))


@pytest.fixture
def listening(folder: Path) -> Iterator[Listener]:
    with listener(folder) as running:
        yield running


def test_signed_invocation_is_verified_saved_and_gets_a_response(listening: Listener, folder: Path) -> None:
    status, answer = listening.post(a_body(), now_signed(a_body()), target="/hooks?x=1")
    listening.post(b"{}", UNSIGNED)

    assert (status, json.loads(answer)) == (200, {"ok": True})
    assert (listening.ready["type"], listening.ready["public_url"]) == ("ready", None)
    record = listening.record()
    assert (record["schema"], record["type"]) == ("port-hook/event/1", "invocation")
    assert (record["method"], record["path"]) == ("POST", "/hooks?x=1")
    assert (record["run_id"], record["action"]) == (RUN_ID, "create_vm")
    assert record["verdict"] == {"status": "valid", "signed_form": "raw", "causes": []}
    assert record["response"] == {"status": 200}
    assert record["delivery"] is None
    with open_store(None, folder) as store:
        capture = store.get(record["id"])
    assert (capture.invocation.body, capture.invocation.target) == (a_body(), "/hooks?x=1")
    assert listening.record()["type"] == "invocation"
    code, (summary,) = listening.stop()
    assert (code, summary["type"]) == (0, "summary")
    assert [summary[name] for name in ("received", "verified", "rejected", "handler_failures")] == [2, 1, 1, 0]
    assert summary["waiting"] == [RUN_ID]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_signal_waits_for_requests_in_progress_and_exits_0(folder: Path, number: int) -> None:
    with handler(delay_s=0.5) as target, listener(folder, "--forward-to", target.url) as running:
        with socket.create_connection((running.host, running.port)) as connection:
            send_until_forwarded(connection, target)
            running.process.send_signal(number)
            connection.settimeout(30)
            answer = connection.recv(1000)
        out, _ = running.process.communicate(timeout=30)

    assert answer.startswith(b"HTTP/1.1 200")
    assert running.process.returncode == 0
    assert json.loads(out.splitlines()[-1])["type"] == "summary"


def send_until_forwarded(connection: socket.socket, target: Handler) -> None:
    """Send an invocation, and wait until the handler has it and has not responded."""
    connection.sendall(raw_request(a_body(), now_signed(a_body())))
    while not target.requests:
        connection.settimeout(0.02)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_listen_forwards_requests_byte_for_byte(folder: Path) -> None:
    body = '{"b": 1.0, "a":"\\u00e9 é"}\n'.encode()
    extra = (
        ("X-Twice", "1"),
        ("x-Lower", "é".encode().decode("latin-1")),
        ("X-Twice", "2"),
        ("Connection", "keep-alive"),
    )
    answer = (
        b"HTTP/1.1 207 Fine\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\nSet-Cookie: k=v\r\ncontent-length: 4\r\n\r\n\x00\xff\r\n"
    )
    with handler(answer) as target, listener(folder, "--forward-to", target.url) as running:
        headers = Headers((*now_signed(body), *extra))
        with socket.create_connection((running.host, running.port)) as connection:
            connection.sendall(raw_request(body, headers, method="PUT", target="/a%2Fb/../c?x=1&x=%20"))
            got = receive(connection)
        (request,) = target.requests

    assert request.line == "PUT /a%2Fb/../c?x=1&x=%20 HTTP/1.1"
    assert request.body == body
    sent = [(name, value) for name, value in headers if name not in {"Host", "Connection"}]
    fields = [(name, value) for name, value in request.fields if not name.lower().startswith(("x-forwarded", "host"))]
    assert fields == [*sent, ("content-length", str(len(body)))]
    assert request.value("x-forwarded-for") == "127.0.0.1"
    head, _, content = got.partition(b"\r\n\r\n")
    assert content == b"\x00\xff\r\n"
    assert head.split(b"\r\n")[1:5] == [b"X-B: 1", b"x-a: 2", b"X-B: 3", b"Set-Cookie: k=v"]
    assert head.startswith(b"HTTP/1.1 207 ")


def test_response_of_the_handler_is_returned_and_recorded(folder: Path) -> None:
    answer = b"HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nsorry"
    with handler(answer) as target, listener(folder, "--forward-to", target.url) as running:
        status, content = running.post(a_body(), now_signed(a_body()))
        record = running.record()
        _, records = running.stop()

    assert (status, content) == (503, b"sorry")
    assert record["delivery"]["url"] == f"{target.url}/"
    assert record["delivery"]["status"] == 503
    assert record["delivery"]["latency_ms"] > 0
    assert records[-1]["handler_failures"] == 1


def test_missing_handler_is_reported_and_used_later(folder: Path) -> None:
    port = free_port()
    with listener(folder, "--forward-to", str(port), "--wait-for-handler", "0") as running:
        said = until_said(running, b"Nothing listens on ")
        assert said.decode().startswith(f"Nothing listens on http://127.0.0.1:{port} yet: ")
        assert running.post(a_body(), now_signed(a_body()))[0] == 502
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(20)
            with socket.create_connection((running.host, running.port)) as connection:
                connection.sendall(raw_request(a_body(), now_signed(a_body())))
                handling, _ = server.accept()
                with handling:
                    assert handling.recv(100).startswith(b"POST / HTTP/1.1")


def test_request_reaches_a_handler_that_restarts(folder: Path) -> None:
    answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
    port = free_port()
    with listener(folder, "--forward-to", str(port)) as running:
        until_said(running, b"Nothing listens on ")
        with socket.create_connection((running.host, running.port)) as connection:
            connection.sendall(raw_request(a_body(), now_signed(a_body())))
            assert not select.select([connection], [], [], 0.3)[0]
            with socket.create_server(("127.0.0.1", port)) as server:
                server.settimeout(20)
                handling, _ = server.accept()
                with handling:
                    assert handling.recv(100).startswith(b"POST / HTTP/1.1")
                    handling.sendall(answer)
                    assert connection.recv(100).startswith(b"HTTP/1.1 202 ")


def test_request_that_a_handler_has_read_is_not_sent_again(folder: Path) -> None:
    received: list[bytes] = []

    class ReadsAndCloses(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request.recv(100))

    with socketserver.TCPServer(("127.0.0.1", 0), ReadsAndCloses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with listener(folder, "--forward-to", str(server.server_address[1])) as running:
            assert running.post(a_body(), now_signed(a_body()))[0] == 502
        server.shutdown()
    assert [first[:7] for first in received if first] == [b"POST / "]  # `listen` connects once without a request


def until_said(running: Listener, start: bytes) -> bytes:
    """Return the first line on stderr that begins with `start`."""
    lines: Iterable[bytes] = running.process.stderr
    return next(line for line in lines if line.startswith(start))


def test_slow_handler_causes_a_504_with_the_reason(folder: Path) -> None:
    with (
        handler(delay_s=30) as target,
        listener(folder, "--forward-to", target.url, "--timeout", "0.2") as running,
    ):
        status, content = running.post(a_body(), now_signed(a_body()))

    assert status == 504
    assert "0.2 s" in json.loads(content)["message"]


def test_unverified_request_is_explained_saved_rejected_and_not_forwarded(folder: Path) -> None:
    body = a_body()
    tampered = body.replace(b'"cpu":2', b'"cpu":64')
    with handler() as target, listener(folder, "--forward-to", target.url) as running:
        status, content = running.post(tampered, now_signed(body))
        record = running.record()

    assert status == 401
    assert "secret-or-body" in json.loads(content)["message"]
    assert record["verdict"]["causes"] == ["secret-or-body"]
    assert record["delivery"] is None
    assert target.requests == []
    with open_store(None, folder) as store:
        assert store.get("last").invocation.body == tampered


def test_client_secret_is_in_no_output_and_no_file_of_a_listener(folder: Path) -> None:
    secret = SECRET.reveal().encode()
    with handler() as target, listener(folder, "--forward-to", target.url) as running:
        told = json.dumps(running.ready)
        for headers in (now_signed(a_body()), now_signed(b"{}"), UNSIGNED):
            told += str(running.post(a_body(), headers)) + json.dumps(running.record())
        running.process.send_signal(signal.SIGTERM)
        out, err = running.process.communicate(timeout=30)
    assert "secret-or-body" in told
    assert secret not in told.encode() + out + err
    assert (folder / ".port-hook" / "captures.db").stat().st_size
    assert not [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_reencoded_body_is_rejected_with_verify_strict(folder: Path) -> None:
    spaced = json.dumps(a_document(), ensure_ascii=False).encode()
    with listener(folder, "--verify", "strict") as running:
        assert running.post(spaced, now_signed(a_body()))[0] == 401
        assert running.record()["verdict"]["status"] == "reencoded"


def test_signature_of_this_or_an_earlier_session_is_a_replay(folder: Path) -> None:
    headers = now_signed(a_body())
    with listener(folder) as running:
        for causes in ([], ["replayed"]):
            assert running.post(a_body(), headers)[0] == 200
            assert running.record()["verdict"]["causes"] == causes
    with listener(folder) as running:
        running.post(a_body(), headers)
        record = running.record()["verdict"]
    assert (record["status"], record["causes"]) == ("valid", ["replayed"])


def test_unverified_requests_are_forwarded_with_verify_warn_or_off(folder: Path) -> None:
    with handler() as target:
        for mode, status in (("warn", "missing"), ("off", "unchecked")):
            with listener(folder, "--verify", mode, "--forward-to", target.url) as running:
                assert running.post(b"{}", UNSIGNED)[0] == 200
                assert running.record()["verdict"]["status"] == status
    assert len(target.requests) == 2


def test_only_and_path_exclude_other_actions_and_paths(folder: Path) -> None:
    other = a_body(a_document(action="scale"))
    options = ("--only", "scale", "--path", "/hooks")
    with handler() as target, listener(folder, *options, "--forward-to", target.url) as running:
        assert running.ready["url"].endswith("/hooks")
        assert running.post(a_body(), now_signed(a_body()), target="/favicon.ico")[0] == 404
        assert running.post(a_body(), now_signed(a_body()), target="/hooks/a")[0] == 404
        assert running.post(other, now_signed(other), target="/hooks/a")[0] == 200
        assert running.record()["action"] == "scale"
        _, records = running.stop()
    assert len(target.requests) == 1
    assert (records[-1]["skipped"], records[-1]["received"]) == (1, 2)  # without the request for another path


def test_respond_delay_and_fail_first_set_the_response(folder: Path) -> None:
    (folder / "answer.json").write_text('{"file": true}')
    with listener(folder, "--respond", "202:@answer.json", "--fail-first", "1", "--delay", "0.2") as running:
        started = time.monotonic()
        assert running.post(a_body(), now_signed(a_body()))[0] == 500
        status, content = running.post(a_body(), now_signed(a_body()))
    assert (status, json.loads(content)) == (202, {"file": True})
    assert time.monotonic() - started >= 0.4


def test_options_for_routes_turns_and_closed_connections_reach_the_listener(folder: Path) -> None:
    wanted = a_body(a_document(wanted="yes"))
    with handler() as target:
        options = ("--route", f'jq:.wanted == "yes"={target.url}', "--respond", "drop", "--max-in-flight", "1")
        with listener(folder, *options, "--delay", "0.01") as running:
            assert running.post(wanted, now_signed(wanted))[0] == 200
            with pytest.raises(http.client.RemoteDisconnected):
                running.post(a_body(), now_signed(a_body()))
            delayed, dropped = running.record(), running.record()
            running.stop()  # a kill may lose the outcome of the last 50 ms
    assert len(target.requests) == 1
    assert dropped["response"] is None
    assert (delayed["simulated"]["dropped"], delayed["simulated"]["delay_s"]) == (False, 0.01)
    with open_store(None, folder) as store:
        kept = next(store.select())
    assert kept.simulated == Simulated(failure="drop", dropped=True, delay_s=0.01)


def test_listen_with_count_exit_code_follows_expect_status(folder: Path) -> None:
    for expected, code in (("2xx", 0), ("204", 1)):
        with listener(folder, "--count", "1", "--expect-status", expected) as running:
            running.post(a_body(), now_signed(a_body()))
            _, told = running.process.communicate(timeout=30)
            assert running.process.returncode == code
        assert (b"error: 1 of 1 responses were not 204 (--expect-status)." in told) is bool(code)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--count", "2"), "Stopped after 0 s: 0 of 2 invocations arrived (--count)."),
        (
            ("--expect-status", "2xx"),
            "Stopped after 0 s: no invocation arrived, so no response was 2xx (--expect-status).",
        ),
        (("--count", "2", "--expect-status", "2xx"), "Stopped after 0 s: 0 of 2 invocations arrived (--count)."),
    ],
)
def test_listen_reports_the_unmet_expectation_in_time(run: Run, options: tuple[str, ...], reason: str) -> None:
    result = run("listen", "--port", "0", "--verify", "off", "--stop-after", "0", *options, env=NO_TUNNEL)
    assert (result.code, result.err.splitlines()[-1]) == (1, f"error: {reason}")
    assert result.err.count("error:") == 1


def test_inspector_of_a_listener_is_aligned_with_its_other_urls(run: Run) -> None:
    result = run("listen", "--port", "0", "--verify", "off", "--inspect", "--stop-after", "0", env=NO_TUNNEL)
    lines = result.err.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("Inspector     http://127.0.0.1:")]
    assert place == lines.index("Stop with Ctrl-C.") - 1


def test_store_has_the_target_of_the_last_listener(run: Run, folder: Path) -> None:
    for options in (("--forward-to", "http://127.0.0.1:9001"), ()):
        assert run("listen", "--port", "0", "--verify", "off", "--stop-after", "0", *options, env=NO_TUNNEL).code == 0
        with open_store(None, folder) as store:
            assert store.last_target() == (options[1] if options else None)


def test_port_in_use_is_reported_with_its_process(run: Run) -> None:
    with open_port() as taken:
        port = taken.getsockname()[1]
        result = run("listen", "--port", str(port), "--verify", "off", env=NO_TUNNEL)
    assert result.code == 5
    assert f"Port {port} on 127.0.0.1 is already in use" in result.err
    if sys.platform == "linux":
        assert f"pid {os.getpid()}" in result.err


@pytest.mark.parametrize(
    "options",
    [
        ("--respond", "99"),
        ("--route", "nonsense"),
        ("--route", "jq:.a | nothing_like_it=1"),
        ("--delay", "inf"),
        ("ftp://x",),
        ("--path", "hooks"),
        ("--expect-status", "ok"),
    ],
)
def test_invalid_options_are_usage_errors(run: Run, options: tuple[str, ...]) -> None:
    result = run("listen", "--port", "0", *options, env={**NO_TUNNEL, "PORT_CLIENT_SECRET": SECRET.reveal()})
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert "hint: " in result.err


def test_blocked_output_does_not_delay_responses(folder: Path) -> None:
    many = 1200  # far more records than a pipe holds
    with listener(folder) as running, socket.create_connection((running.host, running.port)) as connection:
        headers = now_signed(a_body())
        for _ in range(many):
            connection.sendall(raw_request(a_body(), headers))
            assert receive(connection).startswith(b"HTTP/1.1 200")
        running.process.send_signal(signal.SIGTERM)
        # Nobody has read stdout yet: it ends all the same.
        assert running.process.wait(30) == 0


def test_listen_ends_quietly_when_its_output_is_closed(folder: Path) -> None:
    with listener(folder) as running:
        running.process.stdout.close()
        while running.process.poll() is None:
            try:
                running.post(a_body(), now_signed(a_body()))
            except OSError:
                break
        assert running.process.wait(30) == 0
        assert b"Traceback" not in running.process.stderr.read()
        running.process.stdout = None  # type: ignore[assignment]


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_full_disk_causes_a_500_and_a_notice(folder: Path) -> None:
    limit = ("RLIMIT_FSIZE", 300_000, 300_000)
    big = a_body(a_document(filler="x" * 50_000))
    with handler() as target, listener(folder, "--forward-to", target.url, limit=limit) as running:
        # The database and its log have this limit each.
        statuses = [running.post(big, now_signed(big))[0] for _ in range(18)]
        running.process.terminate()
        _, told = running.process.communicate(timeout=30)
    assert b"Responded with 500 to an unsaved request" in told
    assert 200 in statuses
    assert statuses[-1] == 500
    with open_store(None, folder) as store:
        assert len(list(store.select())) == statuses.count(200)


def test_hanging_handler_is_waited_for_and_then_interrupted(folder: Path, run: Run) -> None:
    with (
        handler(delay_s=30) as target,
        listener(folder, "--forward-to", target.url) as running,
        socket.create_connection((running.host, running.port)) as connection,
    ):
        send_until_forwarded(connection, target)
        running.process.terminate()
        out, told = running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    assert b"Stopping. Waiting up to 2 s for 1 request in your handler." in told
    record = json.loads(out.splitlines()[0])
    assert "stopped before the handler responded" in record["delivery"]["error"]
    assert record["response"] is None
    assert record["delivery"]["latency_ms"] >= 1_000  # it was waited for
    assert "  -!  " in run("captures").out  # no answer
    assert re.search(r"  forwarded  http://\S+ interrupted after \d(\.\d)? s\n", run("show", "last").out)
    assert run("captures", "--failed", "--json").records[0]["delivery"]["latency_ms"] >= 1_000


@pytest.mark.skipif(sys.platform == "win32", reason="streams are closed by a POSIX shell")
@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-"])
def test_listen_exits_0_when_a_standard_stream_is_closed(folder: Path, closing: str) -> None:
    command = f'"{sys.executable}" -m port_hook_cli listen --port 0 --stop-after 0.2 {closing}'
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment(folder), capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stdout + done.stderr


def raw_request(body: bytes, headers: Headers, *, method: str = "POST", target: str = "/") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join((*lines, f"content-length: {len(body)}", "", "")).encode("latin-1") + body


def receive(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
