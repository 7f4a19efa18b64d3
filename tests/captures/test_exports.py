"""Each export is used by the tool that it is for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from port_hook_cli.captures.exports import EXPORT_FORMATS, find_export
from port_hook_cli.captures.request_file import capture_in
from port_hook_cli.invocations.models import Delivery, Exchange, Headers, Response
from tests.factories import SECRET, a_body, an_exchange, an_invocation, signed
from tests.servers import Handler, handler

BODY = a_body({"a": 'it\'s "quoted" $HOME `id` \\ \n é 日', "n": 9007199254740993})
BINARY = bytes(range(256))


def an_example(body: bytes = BODY, *, status: int = 200) -> Exchange:
    headers = signed(body).plus(("x-quote", 'it\'s "$(id)"'), ("authorization", "***"))
    return an_exchange(
        an_invocation(body, headers=headers, target="/hook?a=1"),
        delivery=Delivery(url="http://127.0.0.1:1/hook", status=status, latency_ms=3.5),
        response=Response(status=status, headers=Headers((("content-type", "text/plain"),)), body=b"ok"),
    )


def exported(name: str, exchange: Exchange, url: str = "http://127.0.0.1:1/hook?a=1") -> str:
    row = find_export(name)
    assert row is not None
    return row.write(exchange, url)


def same_request(target: Handler, body: bytes) -> None:
    (request,) = target.requests
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    assert request.body == body
    assert request.value("x-port-signature") == dict(signed(body))["x-port-signature"]
    assert request.value("x-quote") == 'it\'s "$(id)"'


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("body", [BODY, BINARY, b"", b"@file"], ids=["json", "binary", "empty", "at"])
def test_curl_command_sends_the_same_request(tmp_path: Path, body: bytes) -> None:
    with handler() as target:
        script = tmp_path / "export.sh"
        script.write_text(exported("curl", an_example(body), f"{target.url}/hook?a=1"))
        subprocess.run(["sh", str(script)], check=True, capture_output=True, timeout=30)
        same_request(target, body)


@pytest.mark.parametrize("body", [BODY, BINARY], ids=["json", "binary"])
def test_python_program_sends_the_same_request(tmp_path: Path, body: bytes) -> None:
    with handler() as target:
        script = tmp_path / "export.py"
        script.write_text(exported("python", an_example(body), f"{target.url}/hook?a=1"))
        subprocess.run([sys.executable, str(script)], check=True, capture_output=True, timeout=60)
        same_request(target, body)


@pytest.mark.parametrize(("answer", "code"), [(200, 0), (500, 1)])
def test_pytest_file_passes_while_the_backend_responds_as_it_did(tmp_path: Path, answer: int, code: int) -> None:
    head = f"HTTP/1.1 {answer} X\r\ncontent-length: 0\r\n\r\n".encode()
    with handler(head) as target:
        file = tmp_path / "test_export.py"
        file.write_text(exported("pytest", an_example(), f"{target.url}/hook?a=1"))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(file)],
            cwd=tmp_path,
            env={**os.environ, "PORT_CLIENT_SECRET": SECRET.reveal()},
            check=False,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout
        assert target.requests[0].body == BODY
    assert SECRET.reveal() not in file.read_text()


def test_har_has_the_fields_that_its_specification_requires() -> None:
    log = json.loads(exported("har", an_example()))["log"]
    assert log["version"] == "1.2"
    assert set(log["creator"]) == {"name", "version"}
    (entry,) = log["entries"]
    assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= set(entry)
    assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
    assert entry["time"] == sum(entry["timings"].values()) == 3.5
    request, response = entry["request"], entry["response"]
    shared = {"httpVersion", "cookies", "headers", "headersSize", "bodySize"}
    assert shared | {"method", "url", "queryString", "postData"} == set(request)
    assert shared | {"status", "statusText", "content", "redirectURL"} == set(response)
    assert request["queryString"] == [{"name": "a", "value": "1"}]
    assert request["postData"] == {"mimeType": "application/json", "text": BODY.decode()}
    assert response["content"] == {"size": 2, "mimeType": "text/plain", "text": "ok"}


@pytest.mark.parametrize("body", [BODY, BINARY], ids=["json", "binary"])
def test_lambda_event_has_the_shape_of_a_function_url(body: bytes) -> None:
    event = json.loads(exported("lambda", an_example(body)))
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/hook", "a=1")
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["headers"]["x-port-signature"] == dict(signed(body))["x-port-signature"]
    content = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
    assert content == body


@pytest.mark.parametrize("body", [BODY, BINARY], ids=["json", "binary"])
def test_capture_file_is_read_back_as_the_same_capture(body: bytes) -> None:
    example = an_example(body)
    found = capture_in(exported("capture", example).encode())
    assert found is not None
    assert found.invocation == example.invocation
    assert found.response == example.response


def test_http_message_is_the_request() -> None:
    text = exported("http", an_example())
    assert text.startswith("POST /hook?a=1 HTTP/1.1")
    assert text.endswith(BODY.decode())


def test_no_format_has_a_masked_field_in_the_clear() -> None:
    example = an_example()
    headers = example.invocation.headers.without("authorization").plus(("authorization", "Bearer canary"))
    kept = an_exchange(an_invocation(BODY, headers=headers))
    assert [row.name for row in EXPORT_FORMATS if "canary" in row.write(kept, "http://127.0.0.1:1/")] == []
