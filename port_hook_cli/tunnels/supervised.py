"""Port-hook's side of a tether or leash: a tunnel that a program of somebody else's holds open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from port_hook_cli.text.safe import brief
from port_hook_cli.tunnels.connectivity import Probing
from port_hook_cli.tunnels.prober import probe

_BLOCK = 64 * 1024


class TetheredTunnel:
    """What the tunnels of `tether.py` and `leash.py` have in common; see `port_hook_cli.tunnels.protocol.Tunnel`.

    `log` holds the program's last lines, as it wrote them, and `problem` what kept it from starting, if anything did.
    `close_timeout_s` is how long closing may take before it is done by force, in seconds.
    """

    program = "the program"

    def __init__(self, tether: asyncio.subprocess.Process) -> None:
        self.url = ""
        self.log: deque[str] = deque(maxlen=20)
        self.problem: dict[str, Any] | None = None
        self.close_timeout_s: float = 3
        self._tether = tether
        self._rest: asyncio.Task[None] | None = None
        self._closing = False

    async def probe(self, path: str, token: str) -> Probing:
        """Ask the listener for `path` through the public URL."""
        return await probe(self.url + path, token)

    async def lost(self) -> str:
        """Wait until the tunnel ends without having been closed; return what happened."""
        await asyncio.shield(self.read_on())
        words = self.last_word()
        return f"{self.program} has ended, and the public URL with it." + (f" Its last words: {words}" if words else "")

    async def close(self) -> None:
        """End the program and what holds it: by force when that takes more than `close_timeout_s` seconds."""
        self._closing = True  # what it says of that is nothing that a user should hear
        if self._tether.stdin:
            self._tether.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.close_timeout_s):
                return await self._ended()
        _kill(self._tether)
        return await self._ended()

    def noted(self, line: str) -> None:
        """Keep a line of the program's log."""
        self.log.append(line)

    def last_word(self) -> str:
        """Return the last line of the log, printable; "" for none."""
        return brief(self.log[-1], 300) if self.log else ""

    def read_on(self) -> asyncio.Task[None]:
        """Read what the program says for as long as it lives: one whose log nobody reads would stall."""
        self._rest = self._rest or asyncio.create_task(self._read_on())
        return self._rest

    async def next_report(self) -> dict[str, Any] | None:
        """Return what the tether says next, a log line being kept; None when it has ended."""
        line = await self._next_line()
        report: dict[str, Any] | None = json.loads(line) if line else None
        if report and "log" in report and not self._closing:
            self.noted(report["log"])
        if report and "error" in report:
            self.problem = report["error"]
        return report

    async def _next_line(self) -> bytes:
        """Return the next line of the tether's output; a line longer than asyncio's limit counts as the end."""
        output = self._tether.stdout
        if output is None:
            return b""
        try:
            return await output.readline()
        except ValueError:
            _kill(self._tether)
            while await output.read(_BLOCK):  # what it wrote before it ended is not a report either
                pass
            return b""

    async def _ended(self) -> None:
        await (asyncio.shield(self._rest) if self._rest else self._read_on())
        await self._tether.wait()

    async def _read_on(self) -> None:
        while await self.next_report():
            pass


@contextlib.asynccontextmanager
async def closed_on_failure(tunnel: TetheredTunnel) -> AsyncIterator[None]:
    """Close `tunnel` if it does not open, for whatever reason."""
    try:
        yield
    except BaseException:
        await tunnel.close()
        raise


async def start_tether(
    script: Path, order: Mapping[str, Any], environ: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start `script` with `order`, one line of JSON on its stdin, which stays open until the process is to end."""
    tether = await asyncio.create_subprocess_exec(
        sys.executable,
        "-IS",
        str(script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environ),
        # A Ctrl-C is ours alone: what is in flight still needs the tunnel.
        start_new_session=True,
    )
    if tether.stdin:
        tether.stdin.write(json.dumps(order).encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await tether.stdin.drain()
    return tether


def _kill(tether: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            tether.kill()
        else:
            os.killpg(tether.pid, signal.SIGKILL)
