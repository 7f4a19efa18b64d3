"""Text from a handler, a sender, a file or Port's API that looks like a port-hook message."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from port_hook_cli.actions.samples import create_vm_action
from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Response
from tests.factories import RUN_ID, SECRET, a_capture, a_document, an_invocation, signed
from tests.hostile.terminals import on_terminal
from tests.prediction.worlds import SECRET as AGENT_SECRET
from tests.prediction.worlds import topic_message
from tests.retargets import a_workflow
from tests.servers import Handler, application, handler

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

COLUMNS = 80
LABELS = ("error", "hint", "warning", "note")
MESSAGES = "\n".join(f"{label}: EVIL" for label in LABELS)
# A terminal continues a long line in its first column.
LONG = "".join("x" * (COLUMNS - indent) + "error: EVIL\n" for indent in (0, 2, 4, 6, 13))
BODY = f"{MESSAGES}\r\n\n{MESSAGES}\n{LONG}".encode()
FIELD = "error: EVIL " + "x" * 60 + " hint: EVIL"
IMITATED = re.compile(rf"({'|'.join(LABELS)}): EVIL")
ENV = {"PORT_CLIENT_ID": "id", "COLUMNS": str(COLUMNS)}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Handler]:
    head = f"HTTP/1.1 422 {FIELD}\r\nx-odd: {FIELD}\r\ncontent-type: text/plain\r\ncontent-length: {len(BODY)}\r\n\r\n"
    with handler(head.encode() + BODY) as it:
        yield it


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """A fake of Port's API with such text in every field."""

    async def answer(request: web.Request) -> web.Response:
        if request.method == "PATCH":
            return web.json_response({"ok": False, "error": FIELD, "message": MESSAGES}, status=422)
        run = {"id": RUN_ID, "status": "IN_PROGRESS", "statusLabel": MESSAGES, "summary": f"{MESSAGES} {FIELD}"}
        logs = [{"message": MESSAGES}, {"message": LONG}] if request.query.get("offset") == "0" else []
        return web.json_response({"ok": True, "accessToken": "t", "expiresIn": 3600, "run": run, "runLogs": logs})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    with application(app) as url:
        yield url


@pytest.fixture
def planted(folder: Path, receiver: Handler) -> Path:
    """A folder whose files and store have such text in every field."""
    document = a_document(action=FIELD, trigger={"by": {"user": {"email": FIELD}}, "origin": FIELD})
    document["payload"]["properties"] = {FIELD: MESSAGES, "x": FIELD}
    field = Headers((("x-odd", FIELD),))
    with open_store(None, folder, create=True) as store:
        for number, body in enumerate((json.dumps(document).encode(), BODY)):
            capture = a_capture(
                an_invocation(body, id=f"{number}" * 12, headers=Headers((*signed(body), *field.items))),
                delivery=Delivery(url=f"{receiver.url}/", status=500, headers=field, body=BODY[number:]),
                response=Response(status=500, headers=field, body=BODY[number:]),
            )
            store.add([capture])
            store.complete([capture])
    action: dict[str, Any] = create_vm_action()
    write(folder, "action.json", action)
    write(folder, "map.json", [{"enabled": True, "body": {"n": 1}}])
    write(folder, "odd.json", {**action, "identifier": FIELD, "title": FIELD})
    fields = {f"n{pad}": f'{{{{ "{"x" * pad}error: EVIL" | tonumber }}}}' for pad in range(60, 72)}
    method = {"type": "WEBHOOK", "url": f"{receiver.url}/", "body": fields}
    write(folder, "fails.json", {**action, "invocationMethod": method})
    write(folder, "message.json", topic_message())
    webhook: dict[str, Any] = {"type": "WEBHOOK", "url": f"{receiver.url}/", "synchronized": True}
    write(folder, "workflow.json", {**a_workflow(**webhook), "title": FIELD})
    (folder / "request.http").write_bytes(b"POST / HTTP/1.1\r\nx-odd: " + FIELD.encode() + b"\r\n\r\n" + BODY)
    return folder


def write(folder: Path, name: str, document: Any) -> None:
    (folder / name).write_text(json.dumps(document))


# These do not show such text, or only its first line as a part of another line.
WITHOUT = [
    ("replay", "000000000000", "--to", "URL", "--times", "2", "--rate", "1000/s"),
    ("replay", "000000000000", "--to", "URL", "--compare"),
    ("verify", "last"),
    ("verify", "request.http"),
    ("doctor", "--to", "URL"),
]
COMMANDS = [
    ("trigger", "action.json", "--input", "title=a", "--to", "URL"),
    ("trigger", "odd.json", "--input", "title=a", "--to", "URL"),
    ("trigger", "fails.json", "--input", "title=a", "--to", "URL"),
    ("trigger", "action.json", "--input", "title=a", "--via-port", "--wait", "0.05"),
    ("replay", "last", "--to", "URL"),
    ("replay", "request.http", "--to", "URL"),
    ("captures",),
    ("show", "last"),
    ("show", "000000000000"),
    ("diff", "000000000000", "message.json"),
    ("report-run", RUN_ID, "--status", "success"),
    ("port-agent", "message.json", "--mapping", "map.json", "--send", "--to", "URL"),
    ("trigger", "workflow.json"),
    *WITHOUT,
]


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_untrusted_text_never_looks_like_a_message(
    planted: Path, receiver: Handler, port: str, args: tuple[str, ...]
) -> None:
    words = [word.replace("URL", receiver.url) for word in args]
    secret = AGENT_SECRET if args[0] == "port-agent" else SECRET
    env = {**ENV, "PORT_CLIENT_SECRET": secret.reveal(), "PORT_API_URL": port}
    shown = on_terminal(planted, *words, env=env)
    assert shown.code not in {2, 70}, shown.text
    rows = [line[start : start + COLUMNS] for line in shown.text.split("\n") for start in range(0, len(line), COLUMNS)]
    assert [row for row in rows if IMITATED.match(row)] == []
    assert ("EVIL" in shown.text) == (args not in WITHOUT)


def test_listener_indents_untrusted_text(planted: Path) -> None:
    from port_hook_cli.captures.view.capture import capture_lines

    with open_store(None, planted) as store:
        for capture in store.select():
            lines = [line.plain for line in capture_lines(capture, app_url=None)]
            assert not any(IMITATED.match(line) for line in lines)
            assert any("error: EVIL" in line for line in lines)
