"""One run of the user's command under `supervisor.py`: its output, its end, and the end of all its processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from port_hook_cli.installed import find_program
from port_hook_cli.listener.supervisor import END, KILL_S
from port_hook_cli.tunnels.supervised import without_ctrl_c

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_CHUNK_BYTES = 64 * 1024
_MAX_REPORT = 64 * 1024
_LAST_OUTPUT_S = 0.25
_OVERHEAD_S = 1.0
_SIGNAL_EXIT = 128


class LatestOutput:
    """The last `most` bytes of an output. Threads add the bytes, and call `on_added` afterward."""

    def __init__(self, most: int, on_added: Callable[[], None] = lambda: None) -> None:
        self._most, self._on_added = most, on_added
        self._bytes = b""
        self._lock = threading.Lock()
        self.total = 0
        """The total number of added bytes, including discarded bytes."""

    def add(self, chunk: bytes) -> None:
        """Add bytes, and discard the oldest bytes beyond the limit."""
        with self._lock:
            self._bytes = (self._bytes + chunk)[-self._most :]
            self.total += len(chunk)
        self._on_added()

    def since(self, mark: int) -> bytes:
        """Return the retained bytes added after `total` reached `mark`."""
        return self.read(mark)[0]

    def read(self, mark: int) -> tuple[bytes, int]:
        """Return the retained bytes added after `total` reached `mark`, and the current `total`."""
        with self._lock:
            return self._bytes[max(0, len(self._bytes) - (self.total - mark)) :], self.total


class SupervisedRun:
    """A running command. The constructor raises OSError if the supervisor cannot be started.

    The command's stdin is empty, and Ctrl-C does not reach the command. `ended` is set when the command has ended or
    could not be started (`start_error`). `end` waits `grace_s` seconds after SIGTERM before it kills processes.

    Threads read the output, so that a blocked event loop does not block the command.
    """

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        cwd: Path,
        *,
        grace_s: float,
        on_output: Callable[[bytes], None],
    ) -> None:
        self._grace_s = grace_s
        self.ended, self.output_ended, self._is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.exit_code: int | None = None
        self.start_error: tuple[str, str] | None = None
        """The name of an OSError and its message, if the command could not be started."""
        self._loop = asyncio.get_running_loop()
        self._supervisor = _start_supervisor(environ, cwd)
        self._threads = [
            threading.Thread(target=self._read_output, args=(self._supervisor.stderr, on_output), daemon=True),
            threading.Thread(target=self._read_reports, args=(self._supervisor.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        request = {"command": _with_path(words, environ), "environ": dict(environ), "grace_s": grace_s}
        self._tell(json.dumps(request).encode() + b"\n")

    async def wait_ended(self) -> None:
        """Wait until the command has ended and its last output has arrived."""
        await self.ended.wait()
        with contextlib.suppress(TimeoutError):  # another process may have the output open
            async with asyncio.timeout(_LAST_OUTPUT_S):
                await self.output_ended.wait()

    async def end(self) -> None:
        """Terminate all processes. Kill the rest after the grace period, or when this task is canceled."""
        try:
            self._tell(END)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._grace_s + KILL_S + _OVERHEAD_S):
                    await self._is_over.wait()
        finally:
            self._kill()

    def _kill(self) -> None:
        """Kill all processes, without the event loop, so that a cancellation cannot interrupt this."""
        if self._supervisor.stdin:
            with contextlib.suppress(OSError):
                self._supervisor.stdin.close()
        try:
            self._supervisor.wait(KILL_S + _OVERHEAD_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        for thread in self._threads:
            thread.join(_LAST_OUTPUT_S)
        self.ended.set()

    def _tell(self, line: bytes) -> None:
        if self._supervisor.stdin:
            with contextlib.suppress(OSError, ValueError):  # the supervisor has ended, or was told to end
                self._supervisor.stdin.write(line)
                self._supervisor.stdin.flush()

    def _read_output(self, output: IO[bytes], on_output: Callable[[bytes], None]) -> None:
        with output:
            while chunk := os.read(output.fileno(), _CHUNK_BYTES):
                on_output(chunk)
        self._set(self.output_ended)

    def _read_reports(self, reports: IO[bytes]) -> None:
        with reports:
            while line := reports.readline(_MAX_REPORT):
                self._take(json.loads(line))
        self._set(self.ended)
        self._set(self._is_over)

    def _take(self, report: Mapping[str, Any]) -> None:
        if "error" in report:
            self.start_error = report["error"]["kind"], report["error"]["message"]
        if "ended" in report:
            code: int = report["ended"]
            self.exit_code = _SIGNAL_EXIT - code if code < 0 else code
            self._set(self.ended)

    def _set(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(event.set)


def _start_supervisor(environ: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - port-hook's own script
        [sys.executable, "-IS", str(_SUPERVISOR)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        cwd=cwd,
        **without_ctrl_c(),
    )


def _with_path(words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the words with the program's full path on Windows, which otherwise would not find `npm`, a batch file."""
    found = find_program(words[0], environ) if sys.platform == "win32" else None
    return [found or words[0], *words[1:]]
