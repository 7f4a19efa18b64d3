"""Runs a command and shows its output byte for byte, while a callback gets a copy."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import write_bytes
from port_hook_cli.terminal.output_pipes import OutputPipe, descriptor, open_outputs

_CHUNK_BYTES = 64 * 1024
_QUIET_S = 1.0
_LOOK_EVERY_S = 0.01
_SIGNAL_EXIT = 128


class ShownCommand:
    """A running command. Create it in a running event loop; the constructor raises OSError if it cannot be started.

    `on_output` is called in threads with the number of a stream (0 or 1) and a chunk, which is empty at its end. stdin
    is that of port-hook. Where stdout is a terminal, the command's is one, too.
    """

    def __init__(self, words: Sequence[str], runtime: Runtime, on_output: Callable[[int, bytes], None]) -> None:
        self._shares_terminal = _is_in_foreground()
        outputs = open_outputs(runtime.stdout, runtime.stderr)
        self._pipes = tuple(dict.fromkeys(outputs))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                list(words),
                stdout=outputs[0].writer,
                stderr=outputs[1].writer,
                env=dict(runtime.environ),
                cwd=runtime.cwd,
                process_group=None if self._shares_terminal or sys.platform == "win32" else 0,
            )
        except BaseException:
            for pipe in self._pipes:
                os.close(pipe.reader)
            raise
        finally:
            for pipe in self._pipes:
                os.close(pipe.writer)
        self._pumps = [_Pump(number, pipe, on_output) for number, pipe in enumerate(self._pipes)]

    async def wait(self) -> int:
        """Wait until the command has ended and its output was shown; return its exit code as a shell shows it.

        If a process that it started keeps the output open, the output ends when nothing was written for a second.
        """
        code = await _in_thread(self._process.wait)
        exited_at = time.monotonic()
        while not all(pump.is_done(exited_at) for pump in self._pumps):  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(_LOOK_EVERY_S)
        return _SIGNAL_EXIT - code if code < 0 else code

    def send_signal(self, number: int) -> None:
        """Pass a signal on to the command, unless its terminal has sent it to both."""
        if self._shares_terminal and number == signal.SIGINT:
            return
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                if self._shares_terminal:
                    self._process.send_signal(number)
                else:
                    os.killpg(self._process.pid, number)

    def fit_terminal(self) -> None:
        """Tell the command that the size of the terminal has changed."""
        for pipe in self._pipes:
            pipe.fit_terminal()
        if sys.platform != "win32":
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGWINCH)


class _Pump:
    """A thread that reads one output and shows it. It does not keep the process alive."""

    def __init__(self, number: int, pipe: OutputPipe, on_output: Callable[[int, bytes], None]) -> None:
        self._number, self._pipe, self._on_output = number, pipe, on_output
        self._reading_since: float | None = None
        self._has_ended = False
        self._is_shown = True
        threading.Thread(target=self._pump, name="command-output", daemon=True).start()

    def is_done(self, exited_at: float) -> bool:
        """Whether the output has ended, or nothing was written for a second since the command has."""
        since = self._reading_since
        return self._has_ended or (since is not None and time.monotonic() - max(since, exited_at) > _QUIET_S)

    def _pump(self) -> None:
        try:
            while chunk := self._read():
                self._on_output(self._number, chunk)
                self._show(chunk)
                if not self._is_shown and self._pipe.terminal is None:
                    break  # the command gets a broken pipe, too
        finally:
            self._on_output(self._number, b"")
            with suppress(OSError):
                os.close(self._pipe.reader)
            self._has_ended = True

    def _read(self) -> bytes:
        self._reading_since = time.monotonic()
        try:
            return os.read(self._pipe.reader, _CHUNK_BYTES)
        except OSError:  # a pseudo-terminal ends with an error
            return b""
        finally:
            self._reading_since = None

    def _show(self, chunk: bytes) -> None:
        if not self._is_shown:
            return
        try:
            number = descriptor(self._pipe.shown)
            if number is None:
                write_bytes(chunk, self._pipe.shown)
            else:
                _write_all(number, chunk)
        except (OSError, ValueError):
            self._is_shown = False


def _write_all(number: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(number, chunk) :]


def _is_in_foreground() -> bool:
    """Whether port-hook is in the foreground of a terminal, which sends Ctrl-C to its process group."""
    if sys.platform != "win32":
        with suppress(OSError), Path("/dev/tty").open("rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


async def _in_thread(work: Callable[[], int]) -> int:
    """Await `work` in a daemon thread, so that it does not keep the process alive."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def run() -> None:
        result = work()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_settle, done, result)

    threading.Thread(target=run, name="command-end", daemon=True).start()
    return await done


def _settle(done: asyncio.Future[int], result: int) -> None:
    if not done.done():
        done.set_result(result)
