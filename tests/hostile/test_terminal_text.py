"""Untrusted text on a terminal: every command escapes it, and a pipe gets the raw bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.captures.documents.capture_file import to_capture
from port_hook_cli.captures.exports.formats import EXPORT_FORMATS
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.cli.commands import COMMANDS as CLI_COMMANDS
from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Cause, Delivery, Response, Status, Verdict
from port_hook_cli.invocations.snippets import REQUEST_FORMATS
from port_hook_cli.text.safe import is_visible
from tests.conftest import Run
from tests.factories import RUN_ID, SECRET, a_capture, a_document, an_invocation
from tests.hostile.terminals import HOSTILE, HOSTILE_FIELD, Shown, on_terminal
from tests.installed import each, needs
from tests.port_clients import authorized
from tests.prediction.worlds import topic_message
from tests.prepared_terminal import Spawn
from tests.processes import environment
from tests.servers import Handler, application, handler

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

ENV = {"PORT_CLIENT_SECRET": SECRET.reveal(), "PORT_CLIENT_ID": "id"}
BODY = json.dumps({"x": HOSTILE}, ensure_ascii=False).encode()
ANSWER = (
    f"HTTP/1.1 422 {HOSTILE_FIELD}\r\nx-odd: {HOSTILE_FIELD}\r\ncontent-type: application/json\r\n"
    f"content-length: {len(BODY)}\r\n\r\n"
).encode() + BODY
PATH = f"/{HOSTILE_FIELD}?q={HOSTILE_FIELD}"


@pytest.fixture
def receiver() -> Iterator[Handler]:
    with handler(ANSWER) as it:
        yield it


def write(folder: Path, name: str, document: Any) -> None:
    content = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    (folder / name).write_bytes(content)


def an_action(**method: Any) -> dict[str, Any]:
    action = create_vm_action()
    method = {"headers": {"x-odd": HOSTILE_FIELD}, "body": {"x": HOSTILE}, **method}
    return {**action, "title": HOSTILE, "invocationMethod": {**action["invocationMethod"], **method}}


@pytest.fixture
def planted(folder: Path) -> Path:
    """A folder with files, a store and captures by an untrusted author."""
    document = a_document(action=HOSTILE, trigger={"by": {"user": {"email": HOSTILE}}, "origin": HOSTILE})
    document["payload"]["properties"] = {HOSTILE: HOSTILE, "password": encrypt_aes_gcm(SECRET, HOSTILE.encode())}
    document["payload"]["censoredProperties"] = ["password", HOSTILE]
    field = HOSTILE_FIELD.encode().decode("latin-1")
    capture = a_capture(
        an_invocation(
            json.dumps(document, ensure_ascii=False).encode(),
            target=f"/{HOSTILE}",
            headers=Headers((("Host", field), ("x-odd", field), ("x-port-signature", field))),
            id=HOSTILE,
        ),
        verdict=Verdict(status=Status.INVALID, signed_form=HOSTILE, causes=(Cause(HOSTILE, HOSTILE, HOSTILE),)),
        delivery=Delivery(url=f"http://h/{HOSTILE}", error=HOSTILE, fault=HOSTILE, body=BODY),
        response=Response(status=500, headers=Headers((("x-odd", field),)), body=HOSTILE.encode()),
    )
    with open_store(None, folder, create=True) as store:
        store.add([capture])
    write(folder, "capture.json", to_capture(capture))
    write(folder, "payload.json", document)
    write(folder, "request.http", f"POST /{HOSTILE_FIELD} HTTP/1.1\r\nx-odd: {HOSTILE_FIELD}\r\n\r\n".encode() + BODY)
    write(folder, "no-request", HOSTILE.encode())
    write(folder, "action.json", an_action())
    write(folder, "odd-name.json", {**an_action(), "identifier": HOSTILE})
    write(folder, "bad-url.json", an_action(url=HOSTILE))
    write(folder, "failing.json", an_action(body={"x": f'{{{{ "{HOSTILE_FIELD}" | error }}}}'}))
    unmet = {"type": "JQ", "expressions": [f'.x == "{HOSTILE_FIELD}"'], "combinator": "and"}
    event = {"type": "automation", "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"}}
    automation = {**an_action(), "identifier": HOSTILE, "trigger": {**event, "condition": unmet}}
    write(folder, "automation.json", automation)
    write(folder, "event.json", {"action": "UPDATE", "resourceType": "entity", "x": HOSTILE})
    write(folder, "template.json", {HOSTILE: [HOSTILE, "{{ .x }}"]})
    write(folder, "data.json", BODY)
    write(folder, "message.json", {**topic_message(HOSTILE, name=HOSTILE), "headers": {"X-Odd": HOSTILE}})
    write(folder, "map.json", [{"enabled": True, "body": {HOSTILE: f'"{HOSTILE_FIELD}"'}}])
    (folder / ".env").write_text(f"PORT_HOOK_REPORT_RUN_STATUS='{HOSTILE_FIELD}'\n")
    return folder


COMMANDS = [
    ("sign", "payload.json"),
    ("sign", "payload.json", "--json"),
    *(("export", "payload.json", "--format", name) for name in REQUEST_FORMATS),
    *(("export", "last", "--format", name) for name in ("curl", "http")),
    ("sign", "no-request"),
    ("render", "template.json", "--data", "data.json"),
    ("render", "template.json", "--data", "data.json", "--json"),
    ("render", f'{{{{ "{HOSTILE_FIELD}" | error }}}}', "--data", "data.json"),
    ("render", f'{{{{ "{HOSTILE_FIELD}" | error }}}}', "--data", "data.json", "--strict"),
    ("render", "template.json", "--data", "no-request"),
    ("trigger", "action.json", "--input", "title=a", "--to", "URL"),
    ("trigger", "action.json", "--input", "title=a", "--to", "URL", "--json"),
    ("trigger", "action.json", "--input", "title=a", "--dry-run"),
    *(("trigger", "action.json", "--input", "title=a", "--format", name) for name in REQUEST_FORMATS),
    ("trigger", "action.json", "--input", f"title={HOSTILE}", "--input", f"{HOSTILE}=1"),
    ("trigger", "odd-name.json", "--input", "title=a", "--dry-run"),
    ("trigger", "bad-url.json", "--input", "title=a", "--dry-run"),
    ("trigger", "failing.json", "--input", "title=a", "--dry-run"),
    ("trigger", "automation.json", "--with", "event=event.json", "--dry-run"),
    ("trigger", "odd-name.json", "--via-port", "--input", "title=a"),
    ("verify", "capture.json"),
    ("verify", "request.http"),
    ("verify", "no-request"),
    ("verify", "last"),
    ("replay", "last", "--to", "URL"),
    ("replay", "capture.json", "--to", "URL", "--dry-run"),
    ("replay", "request.http", "--to", "URL", "--dry-run"),
    ("replay", "last", "--to", "URL", "--times", "2", "--rate", "1000/s"),
    ("check", "last", "--to", "URL"),
    ("check", "last", "--to", "URL", "--json"),
    ("check", "action.json", "--input", "title=a", "--to", "URL"),
    ("check", "action.json", "--input", "title=a", "--to", "URL", "--json"),
    ("check", "odd-name.json", "--input", "title=a", "--to", "URL", "--only", "valid"),
    ("check", "payload.json", "--to", "URL", "--only", "form"),
    ("check", "payload.json", "--to", "URL", "--input", "a=b"),
    ("check", "action.json", "--input", "title=a", "--to", "9", "--", "printf", HOSTILE),
    ("check", "--only", HOSTILE),
    ("check", "--list"),
    ("captures",),
    ("captures", "--json"),
    ("show", "last"),
    ("show", "last", "--body"),
    ("export", "last", "--format", "capture"),
    ("show", "last", "--json"),
    ("show", HOSTILE),
    ("decrypt", "last"),
    ("decrypt", "last", "--payload"),
    ("decrypt", "last", "--json"),
    ("decrypt", "last", "payload.properties.password"),
    ("decrypt", "no-request"),
    ("runs",),
    ("runs", HOSTILE),
    ("runs", "last", "--watch"),
    ("report-run", RUN_ID),
    ("report-run", RUN_ID, "--status", "success"),
    ("report-run", RUN_ID, "--status", "success", "--summary", HOSTILE, "--dry-run"),
    ("port-agent", "message.json", "--mapping", "map.json"),
    ("port-agent", "last", "--mapping", "map.json"),
    ("diff", "last", "capture.json"),
    ("diff", "last", "request.http"),
    ("diff", "last", "request.http", "--json"),
    *(("export", "last", "--format", row.name) for row in EXPORT_FORMATS),
    ("prune", "--keep", "0", "--dry-run"),
    ("encrypt", "a", "--secret-file", HOSTILE),
    ("restore", HOSTILE),
    ("restore", "--dry-run"),
    ("login", HOSTILE),
    ("login", "--client-id", "id"),
    ("logout", HOSTILE),
    ("doctor", "--to", "URL"),
    ("doctor", "--to", "URL", "--json"),
    ("init", "--forward-to", HOSTILE),
    ("inspect", "--store", f"{HOSTILE}/"),
    ("mcp", "--allow-send", "--to", HOSTILE),
    ("listen", "--port", HOSTILE),
    ("listen",),
    (HOSTILE,),
]
# Commands that are not in the list, and why.
WITHOUT = {
    "demo": "shows only its own requests",
    "sandbox": "test_sandbox_shows_calls_and_runs_in_visible_text runs it",
}


def test_every_command_is_tested_with_hostile_text() -> None:
    tried = {args[0] for args in COMMANDS} - {HOSTILE}
    assert tried | WITHOUT.keys() == set(CLI_COMMANDS), "add the command to COMMANDS in this file, with hostile input"


@pytest.mark.parametrize("command", sorted({args[0] for args in COMMANDS}), ids=ascii)
def test_hostile_text_is_escaped_on_a_terminal(planted: Path, receiver: Handler, command: str) -> None:
    env = {**ENV, "PORT_API_URL": receiver.url, "PORT_HOOK_LISTEN_PORT": HOSTILE_FIELD}  # no listener starts
    for args in COMMANDS:
        if args[0] == command:
            shown = on_terminal(planted, *(word.replace("URL", receiver.url) for word in args), env=env)
            assert shown.unseen == [], f"{args}: pass untrusted text through `printable` (text/safe.py)"
            assert shown.text.strip(), args
            assert shown.code != 70, args


def a_hostile_port(run_id: str) -> web.Application:
    """A fake of Port's API with hostile text in every field that following a run shows."""

    async def answer(request: web.Request) -> web.Response:
        run = {"id": run_id, "status": "IN_PROGRESS", "statusLabel": HOSTILE, "summary": HOSTILE}
        is_first = request.query.get("offset") == "0"
        logs = [{"message": HOSTILE}] if is_first else []
        return web.json_response({"ok": True, "accessToken": "t", "expiresIn": 3600, "run": run, "runLogs": logs})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


@pytest.mark.parametrize(
    ("run_id", "code", "words"),
    [(RUN_ID, 1, ("did not end within", "log  \\x1b[2J")), (HOSTILE, 7, ("not in the format of Port's API",))],
    ids=["usable id", "hostile id"],
)
def test_run_in_a_hostile_port_is_shown_in_visible_text(
    planted: Path, run_id: str, code: int, words: tuple[str, ...]
) -> None:
    with application(a_hostile_port(run_id)) as url:
        args = ("trigger", "action.json", "--input", "title=a", "--via-port", "--wait", "0.01")
        shown = on_terminal(planted, *args, env={**ENV, "PORT_API_URL": url})
    assert shown.unseen == []
    assert shown.code == code
    assert [each for each in words if each not in shown.text] == []


def test_sandbox_shows_calls_and_runs_in_visible_text(folder: Path) -> None:
    command = ["-m", "port_hook_cli", "sandbox"]
    env = environment(folder, TERM="xterm-256color")
    options = {"cwd": str(folder), "env": env, "timeout": 20, "dimensions": (60, 300)}
    child = Spawn(sys.executable, command, **options)
    child.expect_exact("Press Ctrl-C to stop.\r\n")
    told = dict(re.findall(r"export (\w+)=(\S+)", child.before.decode()))
    with authorized(told) as port:
        run = quote(HOSTILE, safe="")
        port.post(f"/v1/actions/runs/{run}/logs", json={"message": HOSTILE, "statusLabel": HOSTILE})
        port.patch(f"/v1/actions/runs/{run}", json={"status": HOSTILE, "statusLabel": HOSTILE, "link": HOSTILE})
        port.post("/v1/actions/create_vm/runs", json={"properties": {"title": HOSTILE, HOSTILE: 1}})
        port.post(f"/v1/actions/{run}/runs", json={})
        port.post("/v1/blueprints/x/entities", params={"run_id": HOSTILE}, json={"identifier": HOSTILE})
        port.request("M-SEARCH", f"/{run}", headers={b"x-odd": HOSTILE_FIELD.encode()})
    child.sendintr()
    shown = Shown(0, child.before + child.read())
    child.close()
    assert child.exitstatus == 0
    assert shown.unseen == []
    assert "\\x1b[2J" in shown.text


def test_rendered_template_stays_json_on_a_terminal(planted: Path) -> None:
    shown = on_terminal(planted, "render", "template.json", "--data", "data.json")
    assert json.loads(shown.text) == {HOSTILE: [HOSTILE, HOSTILE]}
    assert r"\u009b31m" in shown.text


def test_decrypted_payload_stays_json_on_a_terminal(planted: Path) -> None:
    shown = on_terminal(planted, "decrypt", "last", "--payload", env=ENV)
    document = json.loads(shown.text.partition("error: ")[0])
    assert document["payload"]["properties"]["password"] == HOSTILE


def test_hostile_bytes_are_written_exactly_to_a_pipe(run: Run, planted: Path) -> None:
    written = HOSTILE.replace("\x1b", "\\u001b").replace("\x07", "\\u0007").encode()
    assert written in run("render", "template.json", "--data", "data.json").raw
    assert run("show", "last", "--body").raw == (planted / "payload.json").read_bytes().replace(b"\\u009b", b"")
    assert run("decrypt", "last", "payload.properties.password", env=ENV).raw == HOSTILE.encode()


@needs("curl")
@pytest.mark.parametrize("shell", each("sh", "bash", "zsh"))
def test_pasted_curl_command_sends_the_same_request_as_trigger(planted: Path, shell: str) -> None:
    with handler() as target:
        args = ("trigger", "action.json", "--input", "title=a", "--run-id", RUN_ID)
        write(planted, "action.json", an_action(url=f"{target.url}{PATH}"))
        shown = on_terminal(planted, *args, "--format", "curl", env=ENV)
        subprocess.run([shell], input=shown.text.encode(), capture_output=True, check=True, timeout=30)
        on_terminal(planted, *args, "--to-its-url", env=ENV)
    pasted, sent = target.requests
    assert pasted.line == sent.line
    assert "%E2%80%AE" in pasted.line
    assert pasted.value("x-odd") == sent.value("x-odd") == HOSTILE_FIELD.encode().decode("latin-1")
    assert pasted.body == sent.body == json.dumps({"x": HOSTILE}, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("output", ["curl", "httpie"])
def test_printed_command_is_visible_text_in_a_pipe(run: Run, planted: Path, output: str) -> None:
    result = run("trigger", "action.json", "--input", "title=a", "--format", output, env=ENV)
    assert all(map(is_visible, result.out.splitlines()))
