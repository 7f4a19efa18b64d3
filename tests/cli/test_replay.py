from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shlex
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.text.secret import Secret
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, an_invocation, signed
from tests.hostile.terminals import on_terminal
from tests.prepared import Popen
from tests.processes import running
from tests.sandboxes import a_sandbox, environ_of
from tests.servers import Handler, RawRequest, application, handler
from tests.stores import keep, last_listener, project_file

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
DEFAULT = "Would send to http://127.0.0.1:8000/ (default; --to changes it)\n"
OK = b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{"ok": true}'


@pytest.fixture
def target() -> Iterator[Handler]:
    with handler(OK) as it:
        yield it


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A port in use on which nothing listens."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        yield str(it.getsockname()[1])


def payload_file(folder: Path, content: bytes | None = None) -> str:
    (folder / "payload.json").write_bytes(a_body() if content is None else content)
    return "payload.json"


def store(folder: Path, **overrides: Any) -> str:
    """Save a capture in the store of `folder`. Return its ID."""
    capture = overrides.pop("capture", None) or a_capture(an_invocation(**overrides))
    keep(folder, capture)
    return str(capture.invocation.id)


def accepts(request: RawRequest, secret: str = SECRET.reveal(), *, unit: int = 1) -> bool:
    """Verify a request like a handler: the documented signature, and an age of at most five minutes."""
    timestamp = request.value("x-port-timestamp") or ""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + request.body, hashlib.sha256).digest()
    _, _, given = (request.value("x-port-signature") or "").partition("v1,")
    is_fresh = abs(time.time() - int(timestamp) / unit) < 300
    return is_fresh and hmac.compare_digest(given, base64.b64encode(digest).decode())


def test_replay_sends_a_payload_with_a_valid_signature(run: Run, folder: Path, target: Handler) -> None:
    result = run("replay", payload_file(folder), "--to", f"{target.url}/hook", env=ENV)
    assert (result.code, result.err) == (0, "")
    (request,) = target.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert request.body == a_body()
    assert request.value("content-type") == "application/json"
    assert accepts(request)
    assert not accepts(request, "another secret")
    first, body = result.out.splitlines()
    assert first.startswith("200 OK ")
    assert first.endswith(f" ms  {target.url}/hook")
    assert body == '  {"ok": true}'


def test_replay_sends_a_capture_to_its_path_with_its_exact_body_and_a_new_signature(
    run: Run, folder: Path, target: Handler
) -> None:
    body = b'{ "context": {"runId": "%s"}, "n": 1.0 }' % RUN_ID.encode()
    store(folder, body=body, method="PUT", target="/a%2Fb?c=1")
    for name in ("last", "0123", RUN_ID):
        result = run("replay", name, "--to", target.url, env=ENV)
        assert (result.code, result.err) == (0, "")
        request = target.requests.pop()
        assert (request.line, request.body) == ("PUT /a%2Fb?c=1 HTTP/1.1", body)
        assert accepts(request)
        assert len([key for key, _ in request.fields if key.lower().startswith("x-port-")]) == 2


def test_replay_prints_a_note_when_a_capture_has_a_false_valid_verdict(run: Run, folder: Path, target: Handler) -> None:
    """Someone else can write this value into a store."""
    planted = an_invocation(headers=signed(a_body(), secret=Secret("the-secret-of-a-sender-0123456789")))
    store(folder, capture=a_capture(planted))
    result = run("replay", "last", "--to", target.url, env=ENV)
    assert result.code == 0
    assert "does not match the client secret in use, but the capture says that it was valid" in result.err


def test_replay_omits_masked_credentials_and_accepts_new_credentials(run: Run, folder: Path, target: Handler) -> None:
    store(folder, headers=Headers((("Authorization", "Bearer geheim"), ("X-A", "1"))))
    result = run("replay", "last", "--to", target.url, env=ENV)
    assert "masks Authorization" in result.err
    assert target.requests[0].value("authorization") is None
    assert target.requests[0].value("x-a") == "1"
    run("replay", "last", "--to", target.url, "--header", "Authorization: Bearer neu", env=ENV)
    assert target.requests[1].value("authorization") == "Bearer neu"


def test_replay_as_captured_sends_the_exact_request_without_a_secret(run: Run, folder: Path, target: Handler) -> None:
    body = b'{ "a": 1.0 }'
    fields = (
        ("Host", "x.ngrok.app"),
        ("X-B", "1"),
        ("x-port-timestamp", "1700000000"),
        ("x-b", "2"),
        ("Content-Length", "12"),
        ("X-Port-Signature", "v1,old="),
        ("X-b", "Zo\xc3\xab"),
        ("X-Forwarded-For", "1.2.3.4"),
    )
    store(folder, body=body, headers=Headers(fields))
    result = run("replay", "last", "--to", f"{target.url}/x", "--as-captured")
    assert result.code == 0
    (request,) = target.requests
    assert tuple(request.fields) == (("Host", target.url.removeprefix("http://")), *fields[1:])
    assert request.body == body
    assert "captured timestamp" in result.err


def test_replay_signs_the_payload_after_set_and_unset(run: Run, folder: Path, target: Handler) -> None:
    result = run(
        "replay",
        payload_file(folder),
        "--to",
        target.url,
        "--set",
        "payload.properties.cpu=8",
        "--set",
        "payload.properties.region=eu-north-1",
        "--set",
        '+payload.properties.tags[]="x"',
        "--unset",
        "payload.properties.memory",
        "--unset",
        "no.such",
        env=ENV,
    )
    (request,) = target.requests
    sent = json.loads(request.body)["payload"]["properties"]
    assert sent == {"title": "dev-env", "cpu": 8, "region": "eu-north-1", "tags": ["x"]}
    assert accepts(request)
    assert result.err == (
        "note: payload.json: --unset no.such: the body does not have this value, so nothing was removed\n"
    )


def test_replay_takes_the_pointers_of_diff_as_paths(run: Run, folder: Path, target: Handler) -> None:
    options = ("--set", "/payload/properties/cpu=8", "--set", '+["/x"]=1', "--unset", "/payload/properties/memory")
    result = run("replay", payload_file(folder), "--to", target.url, *options, env=ENV)
    (request,) = target.requests
    sent = json.loads(request.body)
    assert (sent["payload"]["properties"]["cpu"], sent["/x"]) == (8, 1)
    assert "memory" not in sent["payload"]["properties"]
    assert result.err == ""


def test_replay_sends_nothing_when_the_path_of_set_does_not_exist(run: Run, folder: Path, target: Handler) -> None:
    for path, message in (
        ("action.x", "action is a string"),
        ("payload.properties.cpus", "Did you mean payload.properties.cpu? To add a value: --set +PATH=JSON\n"),
    ):
        result = run("replay", payload_file(folder), "--to", target.url, "--set", f"{path}=1", env=ENV)
        assert (result.code, target.requests) == (ExitCode.USAGE, [])
        assert message in result.err


def an_editor(folder: Path, program: str) -> dict[str, str]:
    script = folder / "editor.py"
    script.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[-1])\n{program}\n")
    return {**ENV, "EDITOR": f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"}


def test_replay_serializes_an_edited_payload_as_json_stringify_does(run: Run, folder: Path, target: Handler) -> None:
    store(folder, body=b'{ "a": 1.0 }')
    assert run("replay", "last", "--to", target.url, "--edit", env=an_editor(folder, "")).code == 0
    assert target.requests[0].body == b'{ "a": 1.0 }'  # nothing was edited
    program = "path.write_text('{\"a\": 2.0}')"
    assert run("replay", "last", "--to", target.url, "--edit", env=an_editor(folder, program)).code == 0
    assert target.requests[1].body == b'{"a":2}'
    assert accepts(target.requests[1])


def test_replay_sends_nothing_and_saves_the_file_when_edited_text_is_invalid_json(
    run: Run, folder: Path, target: Handler
) -> None:
    env = an_editor(folder, "path.write_text('{')")
    result = run("replay", payload_file(folder), "--to", target.url, "--edit", env=env)
    assert result.code == 2
    assert 'error: The edited text is not JSON: a key must follow "{" at line 1, column 2.' in result.err
    kept = Path(result.err.partition("saved in ")[2].partition(". Fix")[0])
    assert kept.read_text() == "{"
    kept.unlink()
    assert target.requests == []


def test_replay_sets_the_method_headers_and_timestamp_unit(run: Run, folder: Path, target: Handler) -> None:
    options = ["--method", "delete", "--header", "RUN_ID: r_1", "--header", "content-type:", "--timestamp-unit", "ms"]
    run("replay", payload_file(folder), "--to", target.url, *options, env=ENV)
    (request,) = target.requests
    assert (request.line, request.value("run_id")) == ("DELETE / HTTP/1.1", "r_1")
    assert request.value("content-type") is None
    assert accepts(request, unit=1000)


def test_replay_gets_a_run_from_ports_api_when_it_was_not_captured(run: Run, target: Handler) -> None:
    kept = {
        "type": "WEBHOOK",
        "url": "https://old.example/hook",
        "method": "PUT",
        "headers": {"RUN_ID": RUN_ID},
        "body": {"z": 1, "port_context": {"runId": RUN_ID}, "name": "Zoë"},
    }
    with a_sandbox() as sandbox:
        sandbox.add_run(RUN_ID, payload=kept)
        env = environ_of(sandbox)
        result = run("replay", RUN_ID, "--to", target.url, "--json", env=env)
    assert (result.code, result.err) == (0, "")
    (request,) = target.requests
    assert request.line == "PUT /hook HTTP/1.1"
    assert request.value("run_id") == RUN_ID
    assert request.body == f'{{"z":1,"port_context":{{"runId":"{RUN_ID}"}},"name":"Zoë"}}'.encode()
    assert accepts(request, env["PORT_CLIENT_SECRET"])
    assert result.records[0]["run_id"] == RUN_ID


def test_replay_exits_6_when_the_target_is_unreachable(run: Run, folder: Path, closed_port: str) -> None:
    result = run("replay", payload_file(folder), "--to", closed_port, env=ENV)
    assert (result.code, result.out) == (6, "")
    assert result.err.startswith(f"error: nothing listens on 127.0.0.1:{closed_port}: is your handler running?\nhint:")
    record = run("replay", payload_file(folder), "--to", closed_port, "--json", env=ENV).records[0]
    assert (record["status"], "nothing listens" in record["error"]) == (None, True)


def test_replay_exits_6_when_the_target_of_a_series_is_unreachable(run: Run, folder: Path, closed_port: str) -> None:
    result = run("replay", payload_file(folder), "--to", closed_port, "--times", "3", env=ENV)
    assert result.code == 6
    assert "nothing listens" in result.out


def test_replay_exit_code_follows_expect_status(run: Run, folder: Path, target: Handler) -> None:
    for expected, code in (("200", 0), ("2xx", 0), ("201", 1), ("4xx", 1)):
        result = run("replay", payload_file(folder), "--to", target.url, "--expect-status", expected, env=ENV)
        assert result.code == code
        assert (f"did not get {expected}" in result.err) == bool(code)


def test_replay_exits_0_with_a_hint_when_the_target_responds_401(run: Run, folder: Path) -> None:
    with handler(b"HTTP/1.1 401 x\r\ncontent-length: 5\r\n\r\n\x1b[2Jx") as target:
        result = run("replay", payload_file(folder), "--to", target.url, env=ENV)
    assert result.code == 0
    assert result.out.startswith("401 Unauthorized ")
    assert "\\x1b[2Jx" in result.out
    assert "finds its mistake" in result.err


def test_replay_exits_1_when_the_target_exceeds_the_timeout(run: Run, folder: Path) -> None:
    with handler(OK, delay_s=5) as target:
        result = run("replay", payload_file(folder), "--to", target.url, "--timeout", "0.05", env=ENV)
    assert result.code == 1
    assert "no response within 0.05 s" in result.err


def test_series_output_ends_with_a_table(run: Run, folder: Path) -> None:
    statuses = iter([200, 500] * 10)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=next(statuses))

    app = web.Application()
    app.router.add_post("/", answer)
    with application(app) as url:
        options = ["--times", "10", "--concurrency", "4", "--rate", "1000/s"]
        payload = payload_file(folder)
        result = run("replay", payload, payload, "--to", url, *options, env=ENV)
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.out.splitlines()]
    assert ["200", "OK", "10"] in rows
    assert ["500", "Internal", "Server", "Error", "10"] in rows
    assert "p99" in rows[-1]


def test_table_has_its_usual_width_when_columns_is_not_a_number_of_columns(
    run: Run, folder: Path, target: Handler
) -> None:
    for columns in ("0", "-5", "abc", "9" * 5_000, ""):
        options = ["--to", target.url, "--times", "2"]
        result = run("replay", payload_file(folder), *options, env={**ENV, "COLUMNS": columns})
        assert result.code == 0
        assert "200 OK" in result.out


def test_replay_rejects_more_than_a_million_requests(run: Run, folder: Path, target: Handler) -> None:
    payload = payload_file(folder)
    result = run("replay", payload, payload, "--to", target.url, "--times", "500001", env=ENV)
    assert (result.code, target.requests) == (2, [])
    assert "2 sources sent 500,001 times are 1,000,002 requests, but the maximum is 1,000,000." in result.err


def test_replay_json_prints_only_records_on_stdout(run: Run, folder: Path, target: Handler) -> None:
    options = ["--times", "2", "--json", "--set", "+a=1"]
    result = run("replay", payload_file(folder), "--to", target.url, *options, env=ENV)
    first, second, series = result.records
    latency_ms = first.pop("latency_ms")
    assert latency_ms > 0
    assert first == {
        "schema": "port-hook/delivery/1",
        "source": "payload.json",
        "run_id": RUN_ID,
        "url": f"{target.url}/",
        "status": 200,
        "error": None,
        "capture": None,
    }
    assert second["status"] == 200
    assert (series["schema"], series["sent"], series["errors"]) == ("port-hook/series/1", 2, [])
    assert series["statuses"] == [{"status": 200, "count": 2}]
    assert series["latency_ms"]["p50"] <= series["latency_ms"]["max"]


def test_replay_dry_run_prints_the_signed_request_and_sends_nothing(run: Run, folder: Path, target: Handler) -> None:
    store(folder, body=b'{"\xff": 1}', target="/x")
    result = run("replay", "last", "--to", target.url, "--dry-run", env=ENV)
    assert result.code == 0
    assert target.requests == []
    head, _, body = result.raw.partition(b"\r\n\r\n")
    shown = RawRequest(head, body)
    assert shown.line == "POST /x HTTP/1.1"
    assert shown.body == b'{"\xff": 1}'
    assert accepts(shown)
    assert SECRET.reveal().encode() not in result.raw


def test_output_of_a_dry_run_can_be_replayed_and_verified(run: Run, folder: Path, target: Handler) -> None:
    printed = run("replay", payload_file(folder), "--to", target.url, "--dry-run", env=ENV)
    (folder / "request.http").write_bytes(printed.raw)
    assert run("verify", "request.http", env=ENV).code == 0
    assert run("replay", "request.http", "--to", target.url, "--as-captured").code == 0
    assert accepts(target.requests[0])


def test_replay_exits_2_for_invalid_options(run: Run, folder: Path) -> None:
    for line in (
        "--to ftp://x",
        "--to 1 --set a",
        "--to 1 --unset a[",
        "--to 1 --rate fast",
        "--to 1 --expect-status ok",
        "--to 1 --header x",
        "--to 1 --times 1000001",
        "--to 1 --concurrency 0",
        "--to 1 --dry-run --json",
        "--to 1 --as-captured",
        "--to 1 --as-captured --set a=1",
        "--to 1 --as-captured --unset a",
        "--to 1 --as-captured --edit",
        "--to 1 --as-captured --timestamp-unit ms",
    ):
        assert run("replay", payload_file(folder), *line.split(), env=ENV).code == 2, line
    assert run("replay", payload_file(folder), "--to", "1", "--method", "A B", env=ENV).code == 2


def replaying(folder: Path, *options: str) -> AbstractContextManager[Popen]:
    """`port-hook replay` of a payload in `folder` as a process, very many times."""
    return running(folder, "replay", payload_file(folder), "--times", "100000", *options)


@contextmanager
def counting(most: int) -> Iterator[tuple[str, threading.Event]]:
    """Serve a target that sets the event after `most` responses."""
    reached, numbers = threading.Event(), iter(range(1, 10**9))

    async def answer(_: web.Request) -> web.Response:
        if next(numbers) >= most:
            reached.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", answer)
    with application(app) as url:
        yield url, reached


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
def test_ctrl_c_ends_a_series_and_prints_the_results_so_far(folder: Path) -> None:
    with counting(10) as (url, reached), replaying(folder, "--to", url) as process:
        assert reached.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"200 OK" in out
    assert b"latency" in out
    assert err == b""


def test_series_ends_quietly_when_its_output_is_closed(folder: Path) -> None:
    with counting(1) as (url, _), replaying(folder, "--to", url, "--json") as process:
        assert json.loads(process.stdout.readline())["status"] == 200
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_terminal_shows_the_progress_of_a_series(folder: Path) -> None:
    options = ("--times", "60", "--rate", "100/s")
    with counting(1) as (url, _):
        shown = on_terminal(folder, "replay", payload_file(folder), "--to", url, *options, env=ENV)
    assert shown.code == 0
    first, _, rest = shown.text.partition("sending")
    assert "200 OK" not in first
    assert "200 OK" in rest.partition("100%")[2]


def test_capture_is_sent_to_its_forward_target_by_default(run: Run, folder: Path, target: Handler) -> None:
    url = f"{target.url}/hooks?a=1"
    store(folder, capture=a_capture(delivery=Delivery(url=url, status=500)))
    result = run("replay", "last", env=ENV)
    assert (result.code, result.err) == (0, f"Sending to {url}, where the capture was forwarded.\n")
    assert target.requests[0].line == "POST /hooks?a=1 HTTP/1.1"
    assert accepts(target.requests[0])
    dry = run("replay", "last", "--dry-run", env=ENV)
    assert (dry.code, dry.err) == (0, f"Would send to {url}, where the capture was forwarded.\n")


@pytest.mark.parametrize(("option", "value"), [("--concurrency", "2"), ("--rate", "5/s")])
def test_option_for_several_requests_is_rejected_for_a_single_request(
    run: Run, folder: Path, target: Handler, option: str, value: str
) -> None:
    name = payload_file(folder)
    result = run("replay", name, "--to", target.url, option, value, env=ENV)
    assert result.code == ExitCode.USAGE
    assert result.err == (f"error: {option} needs more than one request.\nhint: Add --times N or another source.\n")
    dry = run("replay", name, "--to", target.url, "--dry-run", "--times", "2", option, value, env=ENV)
    assert f"--dry-run does not send requests, so {option} has no effect." in dry.err
    assert target.requests == []
    assert run("replay", name, name, "--to", target.url, option, value, env=ENV).code == 0
    default = {**ENV, f"PORT_HOOK_REPLAY_{option[2:].upper()}": value}
    assert run("replay", name, "--to", target.url, env=default).code == 0
    assert len(target.requests) == 3


def test_payload_in_an_empty_folder_is_sent_to_the_default_handler(run: Run, folder: Path) -> None:
    result = run("replay", payload_file(folder), "--dry-run", env=ENV)
    assert (result.code, result.err) == (0, DEFAULT)
    assert "\r\nhost: 127.0.0.1:8000\r\n" in result.raw.decode().lower()


def test_payload_is_sent_to_the_handler_of_the_project_file(run: Run, folder: Path, target: Handler) -> None:
    last_listener(folder, "http://127.0.0.1:1")
    project_file(folder, f"handler = {target.port}\n")
    result = run("replay", payload_file(folder), env=ENV)
    assert (result.code, result.err) == (0, f"Sending to {target.url}, the handler in ./port-hook.toml.\n")
    assert accepts(target.requests[0])


@pytest.mark.parametrize("delivery", [None, Delivery(url="http://10.0.0.1/", status=200)])
def test_unforwarded_capture_is_sent_to_the_last_listen_target(
    run: Run, folder: Path, target: Handler, delivery: Delivery | None
) -> None:
    store(folder, capture=a_capture(delivery=delivery))
    last_listener(folder, "http://127.0.0.1:1")
    last_listener(folder, target.url)
    for name in ("last", RUN_ID, payload_file(folder)):
        result = run("replay", name, env=ENV)
        words = f"Sending to {target.url}, where the last `listen` with this store forwarded.\n"
        assert (result.code, result.err) == (0, words)
    assert all(accepts(request) for request in target.requests)


def test_last_listen_target_on_another_machine_is_not_used(run: Run, folder: Path) -> None:
    store(folder)
    for planted in (
        None,
        "",
        "http://attacker.example/",
        "http://localhost.attacker.example/",
        "http://127.0.0.1@attacker.example/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "\x1b[2J",
        "http://127.0.0.1:99999999",
        "8" * 100_000,
    ):
        last_listener(folder, planted)
        assert run("replay", "last", "--dry-run", env=ENV).err == DEFAULT, planted


def test_invalid_last_listen_target_is_not_used(run: Run, folder: Path) -> None:
    store(folder)
    with closing(sqlite3.connect(folder / ".port-hook" / "captures.db")) as connection, connection:
        connection.execute("INSERT INTO last_session VALUES (x'38303030')")
    assert run("replay", "last", "--dry-run", env=ENV).err == DEFAULT


def test_unreachable_error_shows_the_default_port_of_the_scheme(run: Run, folder: Path) -> None:
    for url, named in (("localhost", "localhost:80"), ("http://127.0.0.1/a", "127.0.0.1:80")):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 80)) == 0:
                pytest.skip("something listens on port 80")
        result = run("replay", payload_file(folder), "--to", url, env=ENV)
        assert result.code == ExitCode.TARGET
        assert f"nothing listens on {named}" in result.err


def test_replay_tells_a_sandbox_on_this_machine_the_action_and_the_inputs_of_the_run(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    with a_sandbox() as sandbox, handler() as target:
        result = run(
            "replay", "payload.json", "--to", target.url, "--set", "payload.properties.cpu=8", env=environ_of(sandbox)
        )
        found = sandbox.runs[RUN_ID]
    assert result.code == 0
    assert (found.start.action, found.made_up, found.start.properties["cpu"]) == ("create_vm", True, 8)


def test_replay_does_not_announce_captured_signatures_or_dry_runs_to_a_sandbox(run: Run, folder: Path) -> None:
    store(folder)
    with a_sandbox() as sandbox, handler() as target:
        for option in ("--as-captured", "--dry-run"):
            assert run("replay", "last", "--to", target.url, option, env=environ_of(sandbox)).code == 0
        assert sandbox.runs == {}


def test_replay_sends_the_request_when_the_sandbox_is_unreachable(run: Run, folder: Path) -> None:
    (folder / "payload.json").write_bytes(a_body())
    env = {"PORT_CLIENT_ID": "i", "PORT_CLIENT_SECRET": "s", "PORT_API_URL": "http://127.0.0.1:1"}
    with handler() as target:
        result = run("replay", "payload.json", "--to", target.url, env=env)
    assert (result.code, len(target.requests)) == (0, 1)


def test_replay_of_a_definition_suggests_trigger(run: Run) -> None:
    for definition in ("actions/create_vm.json", "workflows/deploy_service.json"):
        file = str(Path(__file__).parents[2] / "examples" / definition)
        result = run("replay", file, "--to", "1", "--dry-run", env=ENV)
        assert "it looks like a definition, not a payload. `port-hook trigger` makes the request" in result.err


def test_payload_with_an_identifier_is_not_called_a_definition(run: Run, folder: Path) -> None:
    for content in (
        b'{"identifier":"x","invocationMethod":"POST"}',
        b'{"identifier":1,"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ):
        result = run("replay", payload_file(folder, content), "--to", "1", "--dry-run", env=ENV)
        assert (result.code, "definition" in result.err) == (0, False), result.err


def test_request_that_another_tool_saved_is_not_sent_or_signed_as_a_payload(run: Run, folder: Path) -> None:
    store(folder)
    formats = (("har", "a HAR file"), ("postman", "a Postman collection"), ("lambda", "an AWS Lambda event"))
    for format_, words in formats:
        name = payload_file(folder, run("export", "last", "--format", format_, env=ENV).out.encode())
        for command in ("replay", "export", "sign"):
            result = run(command, name, env=ENV)
            assert (result.code, result.out) == (ExitCode.STORE, ""), command
            assert f"error: payload.json is {words}, not a payload.\nhint: Save " in result.err
        assert run("sign", name, "--raw", env=ENV).code == 0
        assert f"error: stdin is {words}" in run("replay", "-", stdin=(folder / name).read_bytes(), env=ENV).err
    assert run("replay", "-", "--to", "1", "--dry-run", stdin=b"{}\n", env=ENV).err.startswith(
        "note: stdin: it is sent"
    )
    for content in (b'{"log":{"entries":[]},"item":[]}', b'{"body":{},"requestContext":{}}'):
        assert run("sign", payload_file(folder, content), env=ENV).code == 0
