"""`port-hook listen` before a person: on a terminal, without color, and in a pipe."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyte
import pytest
from aiohttp import web

from port_hook_cli.engines.encryption import encrypt_aes_gcm
from port_hook_cli.invocations.headers import Headers
from tests.factories import RUN_ID, SECRET, a_document, signed
from tests.prepared import Popen
from tests.process.test_typed_keys import Terminal
from tests.processes import Listener, environment
from tests.servers import application

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")

PAGE = f"https://app.port.io/organization/run?runId={RUN_ID}"
REPORT = f"port-hook report-run {RUN_ID} --status success"
# Styles and links, the two things that rich writes.
STYLE = r"\x1b\[[0-9;]*m"
LINK = r"\x1b\]8;[^;\x1b]*;([^\x1b]*)\x1b\\"
COLOR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


class ListenerTerminal(Terminal):
    """A pseudo terminal of 120 columns with a listener on it, and all that the listener wrote."""

    def __init__(self, process: Popen, master: int) -> None:
        super().__init__(master)
        self.process = process

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8")

    def post(self, document: Any, headers: Headers | None = None) -> int:
        """Send a signed invocation and return the status of the response. `end` waits until it has been written."""
        (url,) = re.findall(r"Listening on  (http://\S+)", self.text)
        body = document if isinstance(document, bytes) else json.dumps(document).encode("utf-8", "surrogatepass")
        headers = headers or signed(body, timestamp=str(int(time.time())))
        return Listener(self.process, {"url": url}).post(body, headers)[0]

    def end(self) -> int:
        """Stop the listener, read what is left and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(OSError):  # Linux: the other side has gone
            while part := os.read(self.master, 65536):
                self.raw += part
        return self.process.wait(30)

    def screen(self) -> pyte.Screen:
        """Return what a person sees."""
        screen = pyte.Screen(120, 60)
        pyte.ByteStream(screen).feed(bytes(self.raw))
        return screen


@contextmanager
def a_terminal(folder: Path, *options: str, **env: str) -> Iterator[ListenerTerminal]:
    master, slave = os.openpty()
    process = Popen(
        [sys.executable, "-m", "port_hook_cli", "listen", "--port", "0", *options],
        cwd=folder,
        env=environment(folder, **{"TERM": "xterm-256color", "COLUMNS": "120"} | env),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        terminal = ListenerTerminal(process, master)
        terminal.wait_for(r"Stop with Ctrl-C\.\r\n")
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        os.close(master)


def color_of(screen: pyte.Screen, text: str) -> str:
    """Return the color of the first place where `text` stands."""
    for row, line in enumerate(screen.display):
        if (column := line.find(text)) >= 0:
            return str(screen.buffer[row][column].fg)
    raise AssertionError("\n".join(screen.display))


def colors_of(screen: pyte.Screen, text: str) -> set[str]:
    """Return the colors of all places with `text`. The summary has its own, and may come first."""
    places = ((row, line.find(text)) for row, line in enumerate(screen.display))
    return {str(screen.buffer[row][column].fg) for row, column in places if column >= 0}


def test_terminal_shows_colors_and_links_the_run(folder: Path) -> None:
    with a_terminal(folder) as terminal:
        assert terminal.post(a_document()) == 200
        assert terminal.post(b"{}", Headers((("Host", "localhost"),))) == 401
        assert terminal.end() == 0

    screen = terminal.screen()
    assert color_of(screen, "valid") == "green"
    assert color_of(screen, "missing") == "red"
    assert "cyan" in colors_of(screen, REPORT)
    assert re.findall(LINK, terminal.text) == [PAGE, ""]
    lines = [line.rstrip() for line in screen.display]
    assert any(line.startswith(f"  run     {RUN_ID}") for line in lines)
    assert any(line.startswith('  inputs  title "dev-env"  ') for line in lines)
    assert any(line.startswith("2 received, 1 verified, 1 rejected") for line in lines)


def test_listen_prints_no_color_when_no_color_is_set(folder: Path) -> None:
    with a_terminal(folder, NO_COLOR="1") as terminal:
        terminal.post(a_document())
        terminal.end()
    assert COLOR.search(terminal.text) is None
    assert color_of(terminal.screen(), "valid") == "default"


def test_encrypted_inputs_are_decrypted_only_on_the_screen(folder: Path) -> None:
    document = a_document()
    document["payload"]["properties"] |= {"password": encrypt_aes_gcm(SECRET, b"s3cret\x1b[2J")}
    document["payload"]["censoredProperties"] = ["password"]
    with a_terminal(folder, "--decrypt") as terminal:
        assert terminal.post(document) == 200
        assert terminal.end() == 0
    assert any("password" in line and r"s3cret\u001b[2J" in line for line in terminal.screen().display)
    assert all(b"s3cret" not in path.read_bytes() for path in (folder / ".port-hook").iterdir())


def test_request_in_flight_is_shown_until_its_response(folder: Path) -> None:
    release = threading.Event()

    async def respond(_: web.Request) -> web.Response:
        await asyncio.to_thread(release.wait, 30)
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/", respond)
    with application(app) as url, a_terminal(folder, "--forward-to", url, "--compact") as terminal:
        port = url.rpartition(":")[2].rstrip("/")
        with ThreadPoolExecutor(1) as sender:
            sent = sender.submit(terminal.post, a_document())
            terminal.wait_for(rf"→ create_vm CREATE  POST / … waiting for {port}")
            assert any(f"waiting for {port}" in line for line in terminal.screen().display)
            release.set()
            assert sent.result(30) == 200
        terminal.wait_for(r"200 .* ms")
        assert not any("waiting for" in line for line in terminal.screen().display)
        assert terminal.end() == 0
