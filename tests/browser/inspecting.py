"""A listener with an inspector as a real process, for tests of the page in a browser."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from port_hook_cli.captures.store.capture_store import open_store
from port_hook_cli.invocations.headers import Headers
from port_hook_cli.invocations.models import Delivery, Response
from port_hook_cli.invocations.payload import read_payload
from port_hook_cli.signatures.verification import UNCHECKED
from port_hook_cli.text.secret import Secret
from tests.factories import SECRET, a_body, a_capture, a_document, an_invocation, signed
from tests.prepared import Popen
from tests.processes import environment

_INSPECTOR = re.compile(r"http://127\.0\.0\.1:\d+/\w+#token=\S+")
_ACTIONS = Path(__file__).parents[2] / "examples" / "actions"


@dataclass
class Desk:
    """A running listener (`url` is empty for `port-hook inspect`) and the inspector's URL with its token."""

    process: Popen
    url: str
    entry: str
    lines: list[str] = field(default_factory=list)
    folder: Path = Path()

    @property
    def origin(self) -> str:
        """The inspector's URL without path and token."""
        return self.page.rpartition("/")[0]

    @property
    def page(self) -> str:
        """The URL of the page without the token."""
        return self.entry.partition("#")[0]

    @property
    def token(self) -> str:
        return self.entry.partition("#token=")[2]

    def post(self, document: Any = None, *, secret: Secret = SECRET, body: bytes | None = None, **extra: str) -> int:
        """Send an invocation, signed now, and return the status of the response."""
        content = a_body(document) if body is None else body
        return self.send(content, Headers((*signed(content, secret=secret, timestamp=str(int(time.time()))),)), extra)

    def send(self, body: bytes, headers: Headers, extra: Mapping[str, str]) -> int:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        try:
            connection.putrequest("POST", "/", skip_host=True, skip_accept_encoding=True)
            for name, value in (*headers, *extra.items()):
                connection.putheader(name.replace("_", "-"), value.encode())
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the response of the inspector's API to a script with the token."""
        parts = urlsplit(self.origin)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.token}"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def a_desk(
    folder: Path, *options: str, command: Sequence[str] = ("listen",), env: Mapping[str, str] | None = None
) -> Iterator[Desk]:
    """Run `port-hook listen --inspect OPTIONS`, or another command, in `folder` until the end of the context."""
    listens = ("--port", "0", "--json", "--inspect") if command == ("listen",) else ()
    if listens:
        shutil.copytree(_ACTIONS, folder / "actions", dirs_exist_ok=True)
    process = Popen(
        [sys.executable, "-m", "port_hook_cli", *command, *listens, *options],
        cwd=folder,
        env=environment(folder, **(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    desk = Desk(process, "", "", folder=folder)
    ready = threading.Event()
    reader = threading.Thread(target=_read, args=(desk, ready, command == ("listen",)), daemon=True)
    reader.start()
    try:
        assert ready.wait(30), "\n".join(desk.lines)
        assert desk.entry, "\n".join(desk.lines)
        yield desk
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            reader.join(30)
            process.stdout.close()


def _read(desk: Desk, ready: threading.Event, listens: bool) -> None:
    """Store the process's lines, so that it never waits for its reader, and record its URLs."""
    for line in desk.process.stdout:
        desk.lines.append(line)
        del desk.lines[:-200]
        if found := _INSPECTOR.search(line):
            desk.entry = found[0]
        if line.startswith("{") and '"ready"' in line:
            desk.url = json.loads(line)["url"]
        if desk.entry and (desk.url or not listens):
            ready.set()
    ready.set()


def fill(folder: Path, count: int, *, first: int = 0, start: float = 1_700_000_000.0) -> None:
    """Write `count` captures of some actions, one a second, into a store. The first one has the number `first`."""
    names = [f"action_{number}" for number in range(20)]
    end = first + count
    with open_store(None, folder, create=True, max_captures=10 * end) as store:
        for part in range(first, end, 5000):
            store.add([_a_capture(number, names, start) for number in range(part, min(end, part + 5000))])


def _a_capture(number: int, names: Sequence[str], start: float) -> Any:
    body = json.dumps({"action": names[number % len(names)], "context": {"runId": f"r_{number:016d}"}, "n": number})
    content = body.encode()
    status = 500 if number % 10 == 0 else 202
    invocation = an_invocation(
        content,
        id=f"{number:012x}",
        received_at=start + number,
        headers=Headers((("content-type", "application/json"),)),
    )
    answer = {"status": status, "headers": Headers(()), "body": b"{}"}
    return a_capture(
        invocation,
        verdict=UNCHECKED,
        payload=read_payload(content, invocation.headers),
        delivery=Delivery(url="http://127.0.0.1:1/", latency_ms=1.5, **answer),  # type: ignore[arg-type]
        response=Response(**answer),  # type: ignore[arg-type]
    )


def a_vm(title: str, **properties: Any) -> dict[str, Any]:
    """Return the payload of a run of create_vm with this title."""
    document = a_document()
    payload = document["payload"]
    return {**document, "payload": {**payload, "properties": {**payload["properties"], "title": title, **properties}}}
