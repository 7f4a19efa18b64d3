"""`port-hook listen HANDLER -- COMMAND`: the handler is a process of the listener."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from port_hook_cli.cli.exit_codes import ExitCode
from port_hook_cli.cli.listen_command import CommandOutput
from port_hook_cli.listener.handler_process import MAX_OUTPUT
from port_hook_cli.text.secret import Masker
from tests.factories import a_body, now_signed
from tests.prepared import Popen
from tests.processes import Listener, listener, port_hook, running
from tests.sockets import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM is POSIX")

# Writes a line in the middle of each request, and its exit code is the path of the request.
HANDLER = r"""
import http.server, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print("deploying \x1b[2J\x07")
        if self.path != "/":
            os._exit(int(self.path[1:]))
        time.sleep(0.3)
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        pass

def end(*_):
    print("bye")
    sys.exit()

signal.signal(signal.SIGTERM, end)
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("pid", os.getpid())
server.serve_forever()
"""


def command(port: int) -> list[str]:
    return [str(port), "--", sys.executable, "-c", HANDLER, str(port)]


@contextmanager
def listening(folder: Path, *words: str) -> Iterator[tuple[Popen, IO[str]]]:
    """Run a listener whose stdout and stderr are one pipe, as on a terminal."""
    with running(folder, "listen", "--port", "0", *words, stderr=subprocess.STDOUT, text=True) as process:
        yield process, process.stdout


def until(output: IO[str], pattern: str) -> str:
    """Return the first group of the next line with the pattern."""
    return next(found[1] for line in output if (found := re.search(pattern, line)))


def test_output_is_below_its_request_and_the_command_ends_with_the_listener(folder: Path) -> None:
    with listening(folder, *command(free_port())) as (process, output):
        url = until(output, r"Listening on  (http://\S+)")
        pid = int(until(output, r"^    pid (\d+)$"))
        assert Listener(process, {"url": url}).post(a_body(), now_signed(a_body()))[0] == 202
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)

    block, shown, end = rest.partition("\n    deploying \\x07\n")
    assert shown
    assert "-> 202" in block
    assert end.startswith("    bye\n1 received")
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("code", [0, 3])
def test_listener_ends_with_the_exit_code_of_its_command(folder: Path, code: int) -> None:
    with listener(folder, *command(free_port())) as running_:
        assert running_.post(a_body(), now_signed(a_body()), target=f"/{code}")[0] == 502
        out, err = running_.process.communicate(timeout=30)
    assert running_.process.returncode == code
    assert b'"summary"' in out.splitlines()[-1]
    assert b"\ndeploying \\x07\n" in err
    assert re.search(rb"^note: .* ended with exit code %d\.$" % code, err, re.MULTILINE)


def test_listener_stops_while_its_command_starts(folder: Path) -> None:
    with listening(folder, str(free_port()), "--", "sh", "-c", "echo pid $$; exec sleep 300") as (process, output):
        pid = int(until(output, r"^    pid (\d+)$"))
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "Stopped before it was ready.\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_command_that_cannot_serve_the_handler_is_an_error(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = port_hook(folder, "listen", "--port", "0", *command(taken.getsockname()[1]), text=True)
    assert result.returncode == ExitCode.USAGE
    assert "was not started.\nhint: End that process" in result.stderr
    result = port_hook(folder, "listen", str(free_port()), "--", "sh", "-c", "echo no module; exit 5", text=True)
    assert result.returncode == ExitCode.TARGET
    assert "    no module\nerror: sh -c 'echo no module; exit 5' ended with exit code 5 before" in result.stderr


async def test_much_output_is_shown_from_its_latest_lines() -> None:
    shown: list[str] = []
    output = CommandOutput(shown.extend, Masker(["a secret value"]))
    output.written.add(b"".join(b"%d\n" % number for number in range(300)) + b"a secret")
    output.show()
    assert shown[1:] == [str(number) for number in range(100, 300)]
    assert shown.pop(0) == "… Earlier output is not shown (limit 200 lines, 64 KiB)."
    shown.clear()
    output.written.add(b" value\n")
    output.show()
    assert shown == ["***"]
    shown.clear()
    output.written.add(b"lost\n" + b"x" * MAX_OUTPUT)
    output.show()
    assert [line[:10] for line in shown] == ["… Earlier ", "x" * 10]
