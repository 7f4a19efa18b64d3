"""Each export works in its tool."""

from __future__ import annotations

import ast
import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from port_hook_cli import verify
from port_hook_cli.captures.documents.request_file import capture_in
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS, Exported, ExportFormat, find_export
from port_hook_cli.captures.exports.postman import postman_collection
from port_hook_cli.errors import UsageError
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Capture, Delivery, Response, Simulated, Status, Verdict
from port_hook_cli.invocations.probes import ADDED_NAME, UNUSUAL_VALUES
from port_hook_cli.signatures.causes import UNDIAGNOSED
from tests.factories import SECRET, a_body, a_capture, an_invocation, signed
from tests.installed import needs
from tests.prepared import run
from tests.processes import NO_OTHER_PLUGINS, PYTEST
from tests.servers import Handler, application, handler

BODY = a_body({"a": 'it\'s "quoted" $HOME `id` \\ \n é 日', "n": 9007199254740993})
BINARY = bytes(range(256))
Write = Callable[[str], str]


NODE_POSTMAN = """
const crypto = require("crypto");
const sent = {};
const pm = {
  environment: { get: () => process.env.SECRET },
  request: { body: { raw: %s }, headers: { upsert: ({ key, value }) => { sent[key] = value; } } },
};
const CryptoJS = {
  HmacSHA256: (text, key) => crypto.createHmac("sha256", key).update(text).digest(),
  enc: { Base64: { stringify: (digest) => digest.toString("base64") } },
};
%s
console.log(JSON.stringify(sent));
"""


def an_example(body: bytes = BODY, *, status: int = 200) -> Capture:
    headers = signed(body).plus(("x-quote", 'it\'s "$(id)"'), ("authorization", "***"))
    return a_capture(
        an_invocation(body, headers=headers, target="/hook?a=1"),
        delivery=Delivery(url="http://127.0.0.1:1/hook", status=status, latency_ms=3.5),
        response=Response(status=status, headers=Headers((("content-type", "text/plain"),)), body=b"ok"),
    )


def exported(name: str, capture: Capture, url: str = "http://127.0.0.1:1/hook?a=1") -> str:
    row = find_export(name)
    assert row is not None
    return row.write([Exported(capture, url)])


def same_request(target: Handler, body: bytes) -> None:
    (request,) = target.requests
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    assert request.body == body
    assert request.value("x-port-signature") == dict(signed(body))["x-port-signature"]
    assert request.value("x-quote") == 'it\'s "$(id)"'


@needs("curl")
def test_curl_command_sends_the_same_request(tmp_path: Path) -> None:
    for body in (BODY, BINARY, b"", b"@file"):
        with handler() as target:
            script = tmp_path / "export.sh"
            script.write_text(exported("curl", an_example(body), f"{target.url}/hook?a=1"))
            subprocess.run(["sh", str(script)], check=True, capture_output=True, timeout=30)
            same_request(target, body)


@pytest.mark.extended
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("body", [BODY, BINARY, b"@file"], ids=["json", "binary", "at"])
def test_httpie_command_sends_the_same_request(tmp_path: Path, body: bytes) -> None:
    example = an_example(body)
    headers = example.invocation.headers.plus(("x-file", "@/etc/hostname"), ("x-json", "=1"))
    example = replace(example, invocation=replace(example.invocation, headers=headers))
    with handler() as target:
        script = tmp_path / "export.sh"
        script.write_text(exported("httpie", example, f"{target.url}/hook?a=1"))
        environ = {**os.environ, "HTTPIE_CONFIG_DIR": str(tmp_path)}
        subprocess.run(["sh", str(script)], check=True, capture_output=True, timeout=60, env=environ)
        same_request(target, body)
        assert target.requests[0].value("x-file") == "@/etc/hostname"
        assert target.requests[0].value("x-json") == "=1"


def a_hostile_capture(text: str, *, agent: str | None = None) -> Capture:
    """Return a capture with `text` in every field."""
    headers = Headers((("@/etc/hostname", "1"), (f"x{text}", "2"), ("x-a", "1"), ("x-b", text), ("content-type", text)))
    headers = headers if agent is None else headers.plus(("user-agent", agent))
    body = a_body({"a": text, "action": text})
    invocation = an_invocation(body, headers=headers, method=text, target=f"/{text}?{text}", id=text)
    response = Response(status=200, headers=headers, body=text.encode())
    return a_capture(invocation, delivery=Delivery(url=f"http://h/{text}", status=200, error=text), response=response)


def run_shell(write: Write, folder: Path) -> None:
    """Run commands with a fake of the programs that they call. The fake writes its arguments to a file."""
    trace, arguments = folder / "trace", folder / "arguments"
    for program in ("curl", "http"):
        (folder / program).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {arguments}\n')
        (folder / program).chmod(0o700)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    for text in ("`X`", "$(X)", "';X;'", '";X;"', "\nX\n", "'\nX\n'", "|X #"):
        hostile = text.replace("X", f"touch\t{trace}")
        subprocess.run(["sh"], input=write(hostile), text=True, check=True, timeout=30, cwd=folder, env=environ)
        assert not trace.exists(), f"the command runs {text}: write words with `shell_quoted` (invocations/snippets.py)"
        assert "@/etc/hostname" not in arguments.read_text(), "leave out fields that HTTP cannot send"
        assert "x-a:" in arguments.read_text()


def read_python(write: Write, _: Path) -> None:
    def shape(program: str) -> list[str]:
        return [type(node).__name__ for node in ast.walk(ast.parse(program)) if not isinstance(node, ast.Constant)]

    for text in ("'+x()+'", '"+x()+"', "\\'+x()#", '"""+x()+"""', '"""\nx()\n"""', "\nx()\n", "\\", "{x()}"):
        assert shape(write(text)) == shape(write("harmless")), f"{text!r} becomes code: write it with `repr`"


# How to check a program, by the extension of its file, and the extensions of files without a program.
CHECKS = {"sh": run_shell, "py": read_python}
DATA = {"http", "har", "json", "txt"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("row", [row for row in EXPORT_FORMATS if row.ending not in DATA], ids=lambda row: row.name)
def test_exported_program_does_not_run_code_from_a_capture(tmp_path: Path, row: ExportFormat) -> None:
    assert row.ending in CHECKS, f"add a check of .{row.ending} files to CHECKS in this file, or the ending to DATA"
    CHECKS[row.ending](lambda text: row.write([Exported(a_hostile_capture(text), f"http://h/{text}")]), tmp_path)


def test_pytest_file_of_findings_does_not_run_code_from_a_capture(tmp_path: Path) -> None:
    row = find_export("pytest")
    assert row is not None
    url = "http://h/"

    def write(text: str) -> str:
        found = a_hostile_capture(text, agent="port-hook-check/old")
        imitated = a_hostile_capture(text, agent=f"port-hook-check/old{text}1")
        return row.write([Exported(found, url + text), Exported(imitated, url + text), Exported(found, url, imitated)])

    read_python(write, tmp_path)
    assert write("x()").count("pytest.param('old', ") == 2, "a slug has letters and hyphens only"


def test_python_program_sends_the_same_request(tmp_path: Path) -> None:
    script = tmp_path / "export.py"
    for body in (BODY, BINARY):
        with handler() as target:
            script.write_text(exported("python", an_example(body), f"{target.url}/hook?a=1"))
            run([sys.executable, str(script)], check=True, timeout=60)
            same_request(target, body)


INVALID = Verdict(status=Status.INVALID, causes=(UNDIAGNOSED,))


def test_export_to_pytest_rejects_a_status_of_the_listener() -> None:
    on_purpose = "the listener made it fail on purpose"
    for capture, reason in (
        (
            a_capture(verdict=INVALID, response=Response(status=401)),
            "the listener itself responded with 401 (invalid: undiagnosed)",
        ),
        (a_capture(response=Response(status=200)), "the listener itself responded with 200"),
        (a_capture(simulated=Simulated(failure="fail-first"), response=Response(status=500)), on_purpose),
        (a_capture(simulated=Simulated(dropped=True)), on_purpose),
        (
            a_capture(delivery=Delivery(url="http://h/", error="timeout"), response=Response(status=504)),
            "the handler did not respond, so the 504 is the listener's",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            exported("pytest", capture)
        assert caught.value.message == f"{an_invocation().id} cannot become a test of the handler: {reason}."


def a_handler(environ: Mapping[str, str], *, tolerance_s: float) -> web.Application:
    """Return a handler that accepts signatures up to an age of `tolerance_s` seconds."""

    async def take(request: web.Request) -> web.Response:
        verdict = verify(request.headers, await request.read(), environ["SECRET"], tolerance_s=tolerance_s)
        return web.Response(status=202 if verdict.status == "valid" else 401)

    app = web.Application()
    app.router.add_put("/hook", take)
    return app


def test_pytest_file_passes_for_the_captured_status_and_for_fixed_findings_only(tmp_path: Path) -> None:
    agent = Headers((("user-agent", "port-hook-check/old"),))
    probe = a_capture(an_invocation(b"[]", method="PUT", headers=agent, replay_of="0123456789ab"))
    original = a_capture(an_invocation(BODY[:-1] + f',"{ADDED_NAME}":{UNUSUAL_VALUES}}}'.encode()))
    environ = {"SECRET": SECRET.reveal()}
    heads = [f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode() for status in (200, 500)]
    with (
        handler(heads[0]) as same,
        handler(heads[1]) as other,
        application(a_handler(environ, tolerance_s=300.0)) as fixed,
        application(a_handler(environ, tolerance_s=1e9)) as broken,
    ):
        row = find_export("pytest")
        assert row is not None
        file = tmp_path / "test_export.py"
        captures = [Exported(an_example(), f"{target.url}/hook?a=1") for target in (same, other)]
        file.write_text(row.write([*captures, *(Exported(probe, f"{url}/hook", original) for url in (fixed, broken))]))
        done = run(
            [*PYTEST, "-q", "-rs", str(file)],
            cwd=tmp_path,
            env={**os.environ, **NO_OTHER_PLUGINS, "PORT_CLIENT_SECRET": SECRET.reveal()},
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert "2 failed, 2 passed" in done.stdout, done.stdout
    assert f"{broken}/hook" in done.stdout
    assert "old: The handler accepts an old timestamp" in done.stdout
    assert [request.body for target in (same, other) for request in target.requests] == [BODY, BODY]
    assert 'port-hook"' not in file.read_text(), "the payload is the original's, without what the check added"
    assert SECRET.reveal() not in file.read_text()


def test_har_has_every_field_that_har_1_2_requires() -> None:
    log = json.loads(exported("har", an_example()))["log"]
    assert (log["version"], set(log["creator"])) == ("1.2", {"name", "version"})
    (entry,) = log["entries"]
    assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= entry.keys()
    assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
    assert entry["time"] == sum(entry["timings"].values()) == 3.5
    assert {"send", "wait", "receive"} <= entry["timings"].keys()
    request, response = entry["request"], entry["response"]
    shared = {"httpVersion", "cookies", "headers", "headersSize", "bodySize"}
    assert shared | {"method", "url", "queryString", "postData"} == request.keys()
    assert shared | {"status", "statusText", "content", "redirectURL"} == response.keys()
    assert request["queryString"] == [{"name": "a", "value": "1"}]
    assert request["postData"] == {"mimeType": "application/json", "text": BODY.decode()}
    assert {"name": "x-quote", "value": 'it\'s "$(id)"'} in request["headers"]
    assert response["content"] == {"size": 2, "mimeType": "text/plain", "text": "ok"}
    (binary,) = json.loads(exported("har", a_capture(an_invocation(BINARY))))["log"]["entries"]
    assert binary["response"].keys() == response.keys()  # even without a response
    assert binary["request"]["bodySize"] == len(BINARY)


@pytest.mark.parametrize("body", [b"", b'{"a":"{{{{SECRET}}}} \\\\{{x"}'], ids=["empty", "braces"])
def test_postman_collection_has_the_shape_of_format_2_1(body: bytes) -> None:
    text = exported("postman", an_example(body), "http://127.0.0.1:1/hook/{{x}}?a=1&b={{y}}")
    collection = json.loads(text)
    assert collection["info"]["schema"].endswith("/json/collection/v2.1.0/collection.json")
    (item,) = collection["item"]
    request = item["request"]
    assert request["method"] == "POST"
    assert {"key": "x-port-signature", "value": dict(signed(body))["x-port-signature"]} in request["header"]
    assert request["url"]["raw"].startswith("http://127.0.0.1:1/hook/")
    assert (request["url"]["host"], request["url"]["port"]) == (["127", "0", "0", "1"], "1")
    raw = request["body"]["raw"]
    assert (json.loads(raw) if raw else raw) == (json.loads(body) if body else "")
    assert "{{" not in text


def test_postman_collection_rejects_a_body_with_its_own_syntax() -> None:
    for body in [BINARY, b"not JSON {{SECRET}}"]:
        with pytest.raises(UsageError, match=r"not text|Postman would replace"):
            exported("postman", an_example(body))


@needs("node")
def test_postman_collection_signs_with_the_secret_of_its_environment(tmp_path: Path) -> None:
    collection = json.loads(exported("postman", an_example()))
    script = "\n".join(collection["event"][0]["script"]["exec"])
    program = tmp_path / "run.js"
    program.write_text(NODE_POSTMAN % (json.dumps(collection["item"][0]["request"]["body"]["raw"]), script))
    sent = json.loads(
        subprocess.run(
            ["node", str(program)], env={**os.environ, "SECRET": SECRET.reveal()}, check=True, capture_output=True
        ).stdout
    )
    stamp = sent["x-port-timestamp"]
    assert sent["x-port-signature"] == dict(signed(BODY, timestamp=stamp))["x-port-signature"]
    assert subprocess.run(["node", str(program)], check=True, capture_output=True).stdout.strip() == b"{}"


def test_lambda_event_has_the_shape_of_a_function_url() -> None:
    for body in [BODY, BINARY]:
        event = json.loads(exported("lambda", an_example(body)))
        assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/hook", "a=1")
        assert event["requestContext"]["http"]["method"] == "POST"
        assert event["headers"]["x-port-signature"] == dict(signed(body))["x-port-signature"]
        content = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
        assert content == body


def test_capture_file_reads_back_as_the_same_capture_and_http_message_is_the_request() -> None:
    for body in (BODY, BINARY):
        example = an_example(body)
        found = capture_in(exported("capture", example).encode())
        assert found is not None
        assert (found.invocation, found.response) == (example.invocation, example.response)
    text = exported("http", an_example())
    assert text.startswith("POST /hook?a=1 HTTP/1.1")
    assert text.endswith(BODY.decode())


def test_formats_do_not_reveal_masked_headers() -> None:
    secret = [(name, "Bearer canary") for name in ("authorization", "cookie", "set-cookie")]
    headers = signed(BODY).plus(*secret)
    delivery = Delivery(url="http://127.0.0.1:1/", status=200, headers=headers)
    response = Response(status=200, headers=headers)
    kept = a_capture(an_invocation(BODY, headers=headers), delivery=delivery, response=response)
    shown = [row.name for row in EXPORT_FORMATS if "canary" in row.write([Exported(kept, "http://127.0.0.1:1/")])]
    assert shown == [], "write the request and the responses of `_masked(capture)`, or fields from `mask_headers`"


def test_exports_omit_simulations() -> None:
    for name in [row.name for row in EXPORT_FORMATS]:
        example = an_example()
        assert exported(name, replace(example, simulated=Simulated(failure="fail-first", delay_s=1.0))) == exported(
            name, example
        )


texts = st.text('{}"\\a', max_size=8)
documents = st.recursive(
    texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)


@given(documents, texts, texts)
def test_capture_text_does_not_become_a_postman_variable(document: Any, header: str, path: str) -> None:
    invocation = an_invocation(json.dumps(document).encode(), headers=Headers((("x-h", header),)), method=f"P{header}")
    collection = postman_collection([(a_capture(invocation), f"http://127.0.0.1/{path}?{path}={path}")])
    request = collection["item"][0]["request"]
    named = [text for text in [*strings(request), collection["item"][0]["name"]] if "{{" in text]
    assert named == []
    assert json.loads(request["body"]["raw"]) == document


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in strings(item)]
