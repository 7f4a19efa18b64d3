"""`replay --to lambda://…`: the event of a function URL, sent to a function on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery
from port_hook_cli.signatures.verification import verify_signature
from tests.conftest import Run
from tests.factories import SECRET, a_body, a_capture, an_invocation
from tests.servers import application
from tests.standins.lambda_runtime import LambdaRuntime
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}
FUNCTION = """
import json, os
from port_hook_cli import verify

def handler(event, context):
    if event["rawPath"] == "/raise":
        raise ValueError("no")
    verdict = verify(event["headers"], event["body"].encode(), os.environ["PORT_CLIENT_SECRET"])
    answer = {"verdict": verdict.status, "n": json.loads(event["body"])["n"], "query": event["rawQueryString"]}
    return {"statusCode": 202, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
"""


@pytest.fixture(autouse=True)
def _kept(folder: Path) -> None:
    with open_store(None, folder, create=True) as store:
        store.add(
            [
                a_capture(
                    an_invocation(a_body({"n": 7}), id="aa0000000001", target="/hook?a=1&b=2"),
                    delivery=Delivery(url="http://127.0.0.1:1/", status=202),
                ),
                a_capture(an_invocation(b"\xff\x00", id="bb0000000002", target="/")),
            ]
        )


def as_function(url: str) -> str:
    return f"lambda://{urlsplit(url).netloc}"


@contextmanager
def function(answer: Callable[[bytes], bytes]) -> Iterator[tuple[str, LambdaRuntime]]:
    runtime = LambdaRuntime(answer)
    with application(runtime.application()) as url:
        yield url, runtime


def answering(document: Any) -> Callable[[bytes], bytes]:
    return lambda _: json.dumps(document).encode()


@contextmanager
def real_function(folder: Path) -> Iterator[str]:
    """A function in AWS's own runtime client."""
    (folder / "fn.py").write_text(FUNCTION)
    with application(LambdaRuntime().application()) as url:
        environ = {**os.environ, **ENV, "AWS_LAMBDA_RUNTIME_API": urlsplit(url).netloc, "PYTHONPATH": str(folder)}
        client = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "fn.handler"],
            cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield url
        finally:
            client.kill()
            client.wait()


@pytest.mark.skipif(importlib.util.find_spec("awslambdaric") is None, reason="needs awslambdaric, which is for Linux")
def test_function_in_the_real_runtime_client_accepts_the_signature_and_its_response_is_shown(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    with real_function(tmp_path) as url:
        result = run("replay", "aa00", "--to", as_function(url), env=ENV)
        assert (result.code, result.err) == (0, "")
        status, body = result.out.splitlines()
        assert status.startswith("202 Accepted")
        assert json.loads(body) == {"verdict": "valid", "n": 7, "query": "a=1&b=2"}
        keep(folder, a_capture(an_invocation(id="cc0000000003", target="/raise")))
        (record,) = run("replay", "cc00", "--to", as_function(url), "--json", env=ENV).records
        assert record["status"] == 502


def test_event_has_the_form_of_a_function_url_event(run: Run) -> None:
    with function(answering({"statusCode": 200})) as (url, runtime):
        assert run("replay", "aa00", "bb00", "--to", as_function(url), env=ENV).code == 0
        event, binary = map(json.loads, runtime.events)
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/hook", "a=1&b=2")
    assert event["queryStringParameters"] == {"a": "1", "b": "2"}
    context = event["requestContext"]
    assert context["http"]["method"] == "POST"
    moment = datetime.strptime(context["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert moment.timestamp() == context["timeEpoch"] // 1000
    assert event["headers"]["host"] == urlsplit(url).netloc
    signed = list(event["headers"].items())
    now = float(event["headers"]["x-port-timestamp"])
    assert verify_signature(Headers(tuple(signed)), event["body"].encode(), SECRET, now=now).status == "valid"
    assert (b64decode(binary["body"]), binary["isBase64Encoded"]) == (b"\xff\x00", True)


def test_address_that_is_not_a_runtime_is_rejected_with_the_form_that_works(run: Run) -> None:
    for address, fault in (
        ("", "'http://' has no host or port to connect to"),
        ("my-function", "'my-function' has no port"),
        ("127.0.0.1:99999", "'http://127.0.0.1:99999' is not a URL with a port from 1 to 65535"),
        ("ftp://127.0.0.1:9000", "'ftp://127.0.0.1:9000' does not start with http:// or https://"),
    ):
        result = run("replay", "aa00", "--to", f"lambda://{address}", "--dry-run", env=ENV)
        assert result.code == ExitCode.USAGE
        assert f"error: --to: lambda:// needs the address of a Lambda runtime, but {fault}.\nhint: " in result.err
        assert "`--to lambda://127.0.0.1:9000`" in result.err


def test_path_of_the_runtime_can_be_given(run: Run) -> None:
    with function(answering({"statusCode": 200})) as (url, runtime):
        path = "/2015-03-31/functions/function/invocations"
        assert run("replay", "aa00", "--to", as_function(url) + path, env=ENV).code == 0
        assert len(runtime.events) == 1


def test_lambda_response_is_read_like_a_function_url(run: Run, folder: Path) -> None:
    rows: tuple[tuple[Any, int, str], ...] = (
        ({"statusCode": 201, "body": "ok"}, 201, "ok"),
        ({"statusCode": "204"}, 204, ""),
        ({"statusCode": 200, "body": b64encode(b"raw").decode(), "isBase64Encoded": True}, 200, "raw"),
        ({"ok": True}, 200, '{"ok": true}'),
        ("text", 200, '"text"'),
        ({"errorMessage": "no", "errorType": "ValueError"}, 502, '{"errorMessage": "no", "errorType": "ValueError"}'),
    )
    for answer, status, body in rows:
        with function(answering(answer)) as (url, _):
            (record,) = run("replay", "aa00", "--to", as_function(url), "--json", env=ENV).records
        assert record["status"] == status
        with open_store(None, folder) as store:
            replay = store.get(record["capture"])
        assert replay.response is not None
        assert replay.response.body == body.encode()


def test_invalid_lambda_response_is_a_failure(run: Run) -> None:
    for answer in (
        b"not JSON",
        b'{"statusCode": "bad"}',
        b'{"statusCode": 99}',
        b'{"statusCode": true}',
        b'{"statusCode": 200, "headers": [1]}',
        b'{"statusCode": 200, "body": "*", "isBase64Encoded": true}',
    ):
        with function(lambda _, answer=answer: answer) as (url, _):  # type: ignore[misc]
            result = run("replay", "aa00", "--to", as_function(url), env=ENV)
        assert result.code == ExitCode.FAILED
        assert "the function's result is not a response" in result.err


def test_dry_run_prints_the_event(run: Run) -> None:
    result = run("replay", "aa00", "--to", "lambda://localhost:9000", "--dry-run", env=ENV)
    event = json.loads(result.out)
    assert (event["rawPath"], event["requestContext"]["domainName"]) == ("/hook", "localhost:9000")


def test_lambda_responses_can_be_compared_with_the_recorded_response(run: Run) -> None:
    with function(answering({"statusCode": 202})) as (url, _):
        assert run("replay", "aa00", "--to", as_function(url), "--compare", env=ENV).code == 0
    with function(answering({"statusCode": 500})) as (url, _):
        assert run("replay", "aa00", "--to", as_function(url), "--compare", env=ENV).code == ExitCode.FAILED
