"""Tunnels of another program. A supervisor process runs between the program and port-hook."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.protocol import probe
from port_hook_cli.tunnels.report import ProbeResult
from port_hook_cli.tunnels.supervisor import taskkill

_BLOCK_BYTES = 64 * 1024
_MAX_LINE = 300


class SupervisedTunnel:
    """The common part of tunnels that have a supervisor.

    See `supervisor.py` and `port_hook_cli.tunnels.protocol.Tunnel`. `log` holds the last lines of the program's log,
    unchanged. `problem` is the error that prevented the start of the program, if any. If closing takes longer than
    `close_timeout_s` seconds, port-hook kills the processes.
    """

    program = "the program"

    def __init__(self, supervisor: asyncio.subprocess.Process) -> None:
        self.url = ""
        self.log: deque[str] = deque(maxlen=20)
        self.problem: dict[str, Any] | None = None
        self.close_timeout_s: float = 3
        self._supervisor = supervisor
        self._reading: asyncio.Task[None] | None = None
        self._closing = False

    async def probe(self, path: str, token: str) -> ProbeResult:
        """Request `path` through the public URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait until the tunnel ends without being closed. Return what happened."""
        await asyncio.shield(self.keep_reading())
        line = self.last_line()
        return f"{self.program} has ended, and its public URL with it." + (f" Its last output: {line}" if line else "")

    async def close(self) -> None:
        """End the program and its supervisor. Kill both after `close_timeout_s` seconds."""
        self._closing = True  # what the program logs about its end is not a problem to report
        if self._supervisor.stdin:
            self._supervisor.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.close_timeout_s):
                return await self._ended()
        _kill(self._supervisor)
        return await self._ended()

    def logged(self, line: str) -> None:
        """Store a line of the program's log."""
        self.log.append(line)

    def last_line(self) -> str:
        """Return the last line of the log, made printable, or "" if the log is empty."""
        return brief(self.log[-1], _MAX_LINE) if self.log else ""

    def keep_reading(self) -> asyncio.Task[None]:
        """Start a task that reads the program's output until it ends. A program with unread output would block."""
        self._reading = self._reading or asyncio.create_task(self._read_all())
        return self._reading

    async def next_report(self) -> dict[str, Any] | None:
        """Return the supervisor's next report, or None when it has ended. Stores its log line or error first."""
        line = await self._next_line()
        report: dict[str, Any] | None = json.loads(line) if line else None
        if report and "log" in report and not self._closing:
            self.logged(report["log"])
        if report and "error" in report:
            self.problem = report["error"]
        return report

    async def _next_line(self) -> bytes:
        """Return the next line of the supervisor's output.

        A line above asyncio's limit counts as the end of the output.
        """
        output = self._supervisor.stdout
        if output is None:
            return b""
        try:
            return await output.readline()
        except ValueError:
            _kill(self._supervisor)
            while await output.read(_BLOCK_BYTES):  # the rest of the output is not a report either
                pass
            return b""

    async def _ended(self) -> None:
        await (asyncio.shield(self._reading) if self._reading else self._read_all())
        await self._supervisor.wait()

    async def _read_all(self) -> None:
        while await self.next_report():
            pass


def quoted_output(lines: Sequence[str]) -> str:
    """Return the last lines of a program as an error quotes them after its sentence.

    Return "" if there are no lines.
    """
    return " Its last output:" + "".join(f"\n  {line}" for line in lines) if lines else ""


@contextlib.asynccontextmanager
async def closed_on_failure(tunnel: SupervisedTunnel) -> AsyncIterator[None]:
    """Close `tunnel` if the block raises an exception."""
    try:
        yield
    except BaseException:
        await tunnel.close()
        raise


async def start_supervisor(
    script: Path, request: Mapping[str, Any], environ: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start `script` with `request` as one line of JSON on its stdin. The script ends when its stdin is closed."""
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-IS",
        str(script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environ),
        **without_ctrl_c(),
    )
    if supervisor.stdin:
        supervisor.stdin.write(json.dumps(request).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await supervisor.stdin.drain()
    return supervisor


def without_ctrl_c() -> dict[str, Any]:
    """Return the options for a process that Ctrl-C does not reach. Requests in progress still need the tunnel."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:  # noqa: RET505 - mypy would find the line unreachable
        return {"start_new_session": True}


def _kill(supervisor: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(OSError):  # it has ended
        if sys.platform == "win32":
            subprocess.run(taskkill(supervisor.pid, os.environ), check=False, capture_output=True)  # noqa: S603
            supervisor.kill()
        else:
            os.killpg(supervisor.pid, signal.SIGKILL)
