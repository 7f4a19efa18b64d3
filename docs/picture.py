"""Print the picture in README.md, an SVG of the terminal during a real run of `port-hook listen`.

The listener, a handler and a sender run on loopback. The sender signs the request of a workflow node with the client
secret, and the request of an action with quotation marks around the client secret. Values that differ between two runs
(clock, ids, ports, latencies) are fixed or replaced.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from port_hook_cli import sign
from port_hook_cli.actions.samples import create_vm
from port_hook_cli.cli.app import main
from port_hook_cli.runtime import Runtime

_COMMAND = "port-hook listen 8000"
_COLUMNS = 100
_WAIT_S = 20
_NOW = int(time.mktime((2026, 11, 24, 14, 5, 9, 0, 0, -1)))
"""14:05:09 local time, so that the picture shows the same time in every time zone."""

_SECRET = "an-example-and-no-secret"  # noqa: S105 - an example
_ACTION = create_vm("r_QOz6WoOB1Q2lmhZZ", at="2026-11-24T12:00:00.000Z")
_NODE = {
    "workflow": "deploy_service",
    "node": "deploy",
    "nodeRunId": "wfnr_h7Kq2ZpX4mN8sT1v",
    "workflowRunId": "wfr_Qw9Er5Ty3Ui7Op1A",
    "by": "zoe@example.com",
    "inputs": {"service": "cart", "version": "2.0"},
}
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_LATENCY = re.compile(r"(?<=in )(\d+(?:\.\d)? m?s)((?:\x1b\[[0-9;]*m)*)( +)")
_LISTENER = re.compile(r"http://127\.0\.0\.1:\d+")


def picture() -> str:
    """Return the terminal as SVG; the result depends only on the code."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), color_system="standard", force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), (_COMMAND, "bold")))
    console.print(Text.from_ansi(_shown()), soft_wrap=True)
    svg = console.export_svg(title="port-hook", unique_id="listen", code_format=_svg_format())
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def _svg_format() -> str:
    """Return rich's template without comments and web fonts; it uses fonts of the reader's system instead."""
    local = re.sub(r"(?s)<!--.*?-->|@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT)
    return local.replace("Fira Code, monospace", _FONTS).replace("font-family: arial", f"font-family: {_FONTS}")


def _shown() -> str:
    with tempfile.TemporaryDirectory() as folder, _handler() as port:
        out, err = _Terminal(), _Terminal()
        sender = threading.Thread(target=_send_both, args=(err,))
        sender.start()
        options = ("--port", "0", "--tunnel", "none", "--forward-to", str(port), "--count", "2", "--stop-after", "20")
        code = main(("listen", *options), _runtime(Path(folder), out, err))
        sender.join()
    if code:
        raise RuntimeError(f"listen ended with {code}:\n{err.getvalue()}")
    start = err.getvalue().split("\n\n")[0].rstrip()
    text = f"{start}\n\n{out.getvalue().rstrip()}\n"
    text = _LISTENER.sub("http://127.0.0.1:8787", text.replace(f":{port}", "\0"))
    # The ID behind the latency stays in its column.
    return _LATENCY.sub(
        lambda match: f"3.2 ms{match[2]}{' ' * (len(match[1] + match[3]) - 6)}", text.replace("\0", ":8000")
    )


def _runtime(folder: Path, out: _Terminal, err: _Terminal) -> Runtime:
    ids = iter(("3f2a9c0b1d4e", "81c07d5e2fa6"))
    return Runtime(
        environ={"PORT_CLIENT_SECRET": _SECRET, "TERM": "xterm-256color", "COLUMNS": str(_COLUMNS)},
        cwd=folder,
        home=folder,
        stdin=io.BytesIO(),
        stdout=out,
        stderr=err,
        now=lambda: _NOW,
        new_id=lambda: next(ids),
    )


class _Terminal(io.StringIO):
    """A stream that claims to be a terminal; `wait_for_url` waits until the listener has printed its URL."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def wait_for_url(self) -> str:
        """Return the first URL that the terminal shows."""
        with self._written:
            url = self._written.wait_for(lambda: _LISTENER.search(self.getvalue()), _WAIT_S)
        if url is None:
            raise TimeoutError(f"the listener has not printed its URL:\n{self.getvalue()}")
        return url[0]


def _send_both(err: _Terminal) -> None:
    url = err.wait_for_url()
    for document, secret in ((_NODE, _SECRET), (_ACTION, f'"{_SECRET}"')):
        headers, body = sign(document, secret, timestamp=_NOW)
        request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - loopback
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=_WAIT_S).close()
        except urllib.error.HTTPError as refusal:
            refusal.close()


@contextmanager
def _handler() -> Iterator[int]:
    """Serve a handler that accepts every request, and yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


if __name__ == "__main__":
    sys.stdout.buffer.write(picture().encode())
