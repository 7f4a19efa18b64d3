"""Requests that `export` signs: each format sends the signed bytes, and nothing shows the secret."""

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
from port_hook_cli.invocations.headers import SIGNATURE_HEADER, Headers
from port_hook_cli.invocations.snippets import REQUEST_FORMATS
from tests.conftest import Run
from tests.factories import SECRET, a_capture, an_invocation
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


def test_export_signs_with_the_client_secret_and_never_shows_it(run: Run, folder: Path) -> None:
    captured = a_capture()
    keep(folder, captured)
    recorded = captured.invocation.headers.get(SIGNATURE_HEADER)
    assert recorded is not None
    for form in (each for each in REQUEST_FORMATS if each != "postman"):  # its script signs
        shown = run("export", "last", "--format", form, env=ENV)
        assert (shown.code, shown.err) == (0, "")
        assert SECRET.reveal() not in shown.out
        assert recorded not in shown.out, form
    for form in ("har", "capture"):
        assert recorded in run("export", "last", "--format", form, env=ENV).out
    assert recorded in run("export", "--as-captured", env=ENV).out
    without = run("export", "last")
    assert recorded in without.out
    assert without.err == "note: last has its recorded signature, because no client secret is set\n"


def test_export_signs_a_payload_and_a_raw_request_that_verify_accepts(run: Run, folder: Path) -> None:
    for name, content in (("p.json", b'{"a": 1}'), ("r.http", b"PUT /x HTTP/1.1\r\n\r\n{}")):
        (folder / name).write_bytes(content)
        request = run("export", name, "--format", "http", env=ENV).raw
        assert run("verify", "-", stdin=request, env=ENV).code == 0
    assert run("export", "p.json").err == "note: p.json has no signature, because no client secret is set\n"


def test_export_keeps_the_signature_of_a_forged_request_of_check(run: Run, folder: Path) -> None:
    headers = (("user-agent", "port-hook-check/other-secret"), (SIGNATURE_HEADER, "v1,forged"))
    keep(folder, a_capture(an_invocation(headers=Headers(headers))))
    assert f"{SIGNATURE_HEADER}: v1,forged" in run("export", "last-replay", env=ENV).out


def test_export_rejects_an_invalid_target(run: Run) -> None:
    for to in ("ftp://x/", "http://a b/", "http://a/\nb"):
        result = run("export", "-", "--to", to, stdin=b"{}", env=ENV)
        assert (result.code, result.out, "--to" in result.err) == (ExitCode.USAGE, "", True)


@needs("curl")
async def test_request_of_the_curl_command_is_accepted_by_both_documented_verifiers(
    run: Run, folder: Path, receiver: Receiver
) -> None:
    for name, content in AWKWARD.items():
        file = "payload.json"
        (folder / file).write_bytes(content)
        script = (await asyncio.to_thread(run, "export", file, "--format", "curl", "--to", receiver.url, env=ENV)).raw
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
async def test_exported_command_sends_the_raw_body_of_a_capture(
    form: str, names: Iterable[str], run: Run, folder: Path, receiver: Receiver
) -> None:
    for name in names:
        content = (AWKWARD | ONLY_RAW)[name]
        (folder / "capture.json").write_text(json.dumps(to_capture(a_capture(an_invocation(content)))))
        program = (
            await asyncio.to_thread(run, "export", "capture.json", "--format", form, "--to", receiver.url, env=ENV)
        ).raw
        shown = await output_of(*RUN_WITH[form], stdin=program)
        assert form == "httpie" or b"200 OK" in shown  # HTTPie writes only the body to a pipe
        assert (receiver.bodies.pop(), receiver.accepted.pop()) == (content, True), name


async def test_python_program_prints_a_401_response(run: Run, folder: Path, receiver: Receiver) -> None:
    other = {"PORT_CLIENT_SECRET": "another"}
    program = (
        await asyncio.to_thread(run, "export", "-", "--format", "python", "--to", receiver.url, stdin=b"{}", env=other)
    ).raw
    assert (await output_of(sys.executable, "-", stdin=program)).startswith(b"401 Unauthorized")
