from __future__ import annotations

import asyncio
import base64
import hmac
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.invocations.snippets import REQUEST_FORMATS
from port_hook_cli.signatures.signing import sign
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_body, a_capture, an_invocation
from tests.installed import needs
from tests.stores import keep

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal()}

# Port's documented verifier for Node: it parses each body and signs its serialization.
NODE_VERIFIER = """
const crypto = require("crypto")
const [secret] = process.argv.slice(1)
const signature = ([timestamp, content]) => {
  const body = JSON.parse(Buffer.from(content, "base64").toString("utf8"))
  return "v1," + crypto.createHmac("sha256", secret).update(timestamp + "." + JSON.stringify(body)).digest("base64")
}
process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).map(signature)))
"""

AWKWARD = {
    "quotes and backslashes": rb"""{"a":"it's \"quoted\" \\ \n %s $HOME `id`"}""",
    "non-ASCII": '{"ünï":"Zoë 🚢 \u2028 \u202e \u007f"}'.encode(),
    "many lines": json.dumps({"a": [1, 2, {"b": None}]}, indent=2).encode() + b"\n",
    "an @ first, as a string": b'"@/etc/passwd"',
    "numbers": b'{"10":1.0,"9":1e21,"a":12345678901234567890}',
    "one MiB": json.dumps({"text": "ü" * 2**19}, ensure_ascii=False).encode(),
}
ONLY_RAW = {
    "an @ first": b"@/etc/passwd",
    "NUL": b"a\x00b\x0012",
    "not UTF-8": bytes(range(256)),
    "empty": b"",
    "many line ends": b"\n\n{}\n\n",
}
RUN_WITH = {"curl": ("sh",), "httpie": ("sh",), "python": (sys.executable, "-")}


@dataclass
class Receiver:
    """A server that verifies signatures like Port's documented Python verifier: over the raw body."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        signed = f"{request.headers['x-port-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.digest(SECRET.reveal().encode(), signed, "sha256")).decode()
        self.accepted.append(expected == request.headers["x-port-signature"])
        return web.Response(status=200 if self.accepted[-1] else 401)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    it = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/hook", it.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    it.url = f"http://{host}:{port}/hook"
    yield it
    await runner.cleanup()


async def output_of(*command: str, stdin: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate(stdin)
    assert process.returncode == 0, err.decode()
    return out


def payload(folder: Path, content: bytes) -> str:
    (folder / "payload.json").write_bytes(content)
    return "payload.json"


# --- signed content -------------------------------------------------------------------------------------------------


def test_sign_prints_the_headers_of_port(run: Run, folder: Path) -> None:
    result = run("sign", payload(folder, a_body()), "--timestamp", "1700000000", env=ENV)
    assert result.out.splitlines() == [
        f"x-port-signature: {sign(a_body(), SECRET, '1700000000')}",
        "x-port-timestamp: 1700000000",
    ]
    assert (result.code, result.err) == (0, "")


def test_sign_signs_indented_json_as_compact_json_and_prints_a_note(run: Run, folder: Path) -> None:
    result = run("sign", payload(folder, b'{"a": 1.0}'), "--timestamp", "17", env=ENV)
    assert sign(b'{"a":1}', SECRET, "17") in result.out
    assert result.err == (
        "note: signed payload.json as compact JSON, like Port (7 bytes, while the file has 10). "
        "To sign the raw bytes, add --raw\n"
    )
    body = b'{"note":"port-hook/capture/1"}'  # a payload with the name of the capture schema
    assert sign(body, SECRET, "17") in run("sign", payload(folder, body), "--timestamp", "17", env=ENV).out


def test_sign_raw_signs_the_raw_bytes(run: Run, folder: Path) -> None:
    result = run("sign", payload(folder, b"\xff not json\n"), "--raw", "--timestamp", "17", env=ENV)
    assert sign(b"\xff not json\n", SECRET, "17") in result.out
    assert result.err == ""
    (record,) = run("sign", "-", "--raw", "--format", "json", stdin=b"\xff", env=ENV).records
    assert (record["form"], record["body"], record["body_base64"]) == ("raw", None, "/w==")


CAPTURED = a_capture(an_invocation(id="aa0000000001", method="PUT", target="/hook?a=1"))


def test_sign_signs_a_capture_for_its_own_path(run: Run, folder: Path) -> None:
    keep(folder, CAPTURED)
    (folder / "capture.json").write_text(json.dumps(to_capture(CAPTURED)))
    for name in ("aa00", "last", RUN_ID, "capture.json"):
        result = run("sign", name, "--format", "json", "--timestamp", "17", env=ENV)
        (record,) = result.records
        assert (result.err, record["signature"]) == ("", sign(a_body(), SECRET, "17"))
        assert (record["method"], record["url"]) == ("PUT", "http://127.0.0.1:8000/hook?a=1")
    (other,) = run("sign", "last", "--format", "json", "--to", "9000/x", env=ENV).records
    assert other["url"] == "http://127.0.0.1:9000/x"


def test_sign_signs_the_body_of_a_raw_request(run: Run) -> None:
    content = b"DELETE /x HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{}"
    (record,) = run("sign", "-", "--format", "json", "--timestamp", "17", stdin=content, env=ENV).records
    assert (record["method"], record["body"]) == ("DELETE", "{}")
    raw = run("sign", "-", "--raw", "--timestamp", "17", stdin=content, env=ENV)
    assert sign(content, SECRET, "17") in raw.out


def test_sign_http_can_be_verified(run: Run) -> None:
    request = run("sign", "-", "--format", "http", "--raw", stdin=b"\xff\x00", env=ENV).raw
    assert run("verify", "-", stdin=request, env=ENV).code == 0


def test_sign_rejects_a_timestamp_unit_with_a_timestamp(run: Run) -> None:
    result = run("sign", "-", "--timestamp", "1700000000", "--timestamp-unit", "ms", stdin=b"{}", env=ENV)
    assert (result.code, result.out) == (2, "")
    assert "--timestamp-unit" in result.err
    env = {**ENV, "PORT_HOOK_SIGN_TIMESTAMP_UNIT": "ms"}
    result = run("sign", "-", "--timestamp", "1700000000", stdin=b"{}", env=env)
    assert (result.code, result.out.split()[-1]) == (0, "1700000000")


def test_sign_uses_the_current_time_in_the_requested_unit(run: Run) -> None:
    seconds = run("sign", "-", stdin=b"{}", env=ENV).out.split()[-1]
    milliseconds = run("sign", "-", "--timestamp-unit", "ms", stdin=b"{}", env=ENV).out.split()[-1]
    assert (len(seconds), len(milliseconds)) == (10, 13)
    assert 0 <= int(milliseconds) / 1000 - int(seconds) < 60


def test_sign_uses_an_unusual_timestamp_unchanged_and_prints_a_warning(run: Run) -> None:
    for timestamp in ("1.7e9", "2023-11-14T22:13:20Z"):
        result = run("sign", "-", "--timestamp", timestamp, stdin=b"{}", env=ENV)
        assert sign(b"{}", SECRET, timestamp) in result.out
        words = f"Port sends digits as the timestamp, so most handlers reject {timestamp}"
        assert result.err.startswith(f"warning: {words}")


def test_sign_rejects_a_timestamp_with_invalid_header_characters(run: Run) -> None:
    for timestamp in ("", "17\r\nx: y", "17 ", "=17", "1٣"):
        result = run("sign", "-", "--timestamp", timestamp, stdin=b"{}", env=ENV)
        assert (result.code, result.out) == (ExitCode.USAGE, ""), timestamp
        assert "--timestamp" in result.err


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a":\n 1,}', "error: payload.json is not JSON: "),
        (b'{"schema":"port-hook/capture/1"}', "damaged capture"),
        (None, "File not found: payload.json."),
    ],
)
def test_sign_explains_why_it_cannot_use_a_file(run: Run, folder: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        payload(folder, content)
    result = run("sign", "payload.json", env=ENV)
    assert (result.code, result.out) == (ExitCode.STORE, "")
    assert words in result.err
    hint = "hint: Fix the JSON, or add --raw to sign the raw bytes."
    assert (hint in result.err) is ("not JSON" in words)


def test_sign_lists_every_place_for_a_missing_secret(run: Run) -> None:
    result = run("sign", "-", stdin=b"{}")
    assert (result.code, result.out) == (ExitCode.SETTINGS, "")
    for place in ("PORT_CLIENT_SECRET", "--secret-file", ".env", "~/.port/.env", "~/.port/config.yaml", "--org"):
        assert place in result.err


def test_sign_rejects_an_invalid_target(run: Run) -> None:
    for to in ("ftp://x/", "http://a b/", "http://a/\nb"):
        result = run("sign", "-", "--to", to, stdin=b"{}", env=ENV)
        assert (result.code, result.out, "--to" in result.err) == (ExitCode.USAGE, "", True)


def test_sign_never_prints_the_secret(run: Run) -> None:
    for form in ("json", *REQUEST_FORMATS):
        options = ("--format", form, "--to", "9000/x", "--timestamp", "17")
        result = run("sign", "-", *options, stdin=b"{}", env=ENV)
        assert (result.code, result.err) == (0, "")
        assert sign(b"{}", SECRET, "17") in result.out
        assert form == "headers" or "127.0.0.1" in result.out
        assert SECRET.reveal() not in result.out


# --- forms ----------------------------------------------------------------------------------------------------------


def test_sign_json_has_the_whole_request(run: Run) -> None:
    (record,) = run(
        "sign", "-", "--format", "json", "--to", "9000", "--timestamp", "17", stdin=b"{}\n", env=ENV
    ).records
    assert record == {
        "schema": "port-hook/signature/1",
        "signature": sign(b"{}", SECRET, "17"),
        "timestamp": "17",
        "form": "json-stringify",
        "body": "{}",
        "body_base64": None,
        "method": "POST",
        "url": "http://127.0.0.1:9000",
        "headers": {
            "content-type": "application/json",
            "x-port-signature": sign(b"{}", SECRET, "17"),
            "x-port-timestamp": "17",
        },
    }


@needs("curl")
async def test_request_of_the_curl_command_is_accepted_by_both_documented_verifiers(
    run: Run, folder: Path, receiver: Receiver
) -> None:
    for name, content in AWKWARD.items():
        file = payload(folder, content)
        script = run("sign", file, "--format", "curl", "--to", receiver.url, env=ENV).raw
        assert b"200 OK" in await output_of("sh", stdin=script), name
        assert receiver.headers[-1]["content-type"] == "application/json"
    if shutil.which("node"):
        requests = [
            [received["x-port-timestamp"], base64.b64encode(body).decode()]
            for received, body in zip(receiver.headers, receiver.bodies, strict=True)
        ]
        printed = await output_of("node", "-e", NODE_VERIFIER, SECRET.reveal(), stdin=json.dumps(requests).encode())
        assert json.loads(printed) == [received["x-port-signature"] for received in receiver.headers]


@needs("curl")
@needs("http")
@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("curl", AWKWARD | ONLY_RAW),
        ("python", ("quotes and backslashes", "not UTF-8")),
        pytest.param("python", AWKWARD | ONLY_RAW, marks=pytest.mark.extended),
        pytest.param("httpie", AWKWARD | ONLY_RAW, marks=pytest.mark.extended),
    ],
    ids=["curl", "python", "python-all", "httpie"],
)
async def test_command_with_raw_sends_the_raw_body(
    form: str, names: Iterable[str], run: Run, folder: Path, receiver: Receiver
) -> None:
    for name in names:
        content = (AWKWARD | ONLY_RAW)[name]
        file = payload(folder, content)
        program = run("sign", file, "--raw", "--format", form, "--to", receiver.url, env=ENV).raw
        shown = await output_of(*RUN_WITH[form], stdin=program)
        assert form == "httpie" or b"200 OK" in shown  # HTTPie writes only the body to a pipe
        assert (receiver.bodies.pop(), receiver.accepted.pop()) == (content, True), name


async def test_python_program_prints_a_401_response(run: Run, folder: Path, receiver: Receiver) -> None:
    other = {"PORT_CLIENT_SECRET": "another"}
    program = run("sign", "-", "--format", "python", "--to", receiver.url, stdin=b"{}", env=other).raw
    assert (await output_of(sys.executable, "-", stdin=program)).startswith(b"401 Unauthorized")
