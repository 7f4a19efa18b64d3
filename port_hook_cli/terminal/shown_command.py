"""Run a command, show its output byte for byte, and pass a copy to a callback. Signals are passed on to the command."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TextIO

from port_hook_cli.frozen import frozen
from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.console import write_bytes

_PIPE_BYTES = 1024 * 1024
_SET_PIPE_BYTES = 1031  # F_SETPIPE_SZ on Linux
_CHUNK_BYTES = 64 * 1024
_QUIET_S = 1.0
_LOOK_EVERY_S = 0.01
_SIGNAL_EXIT = 128
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_UNSUPPORTED = (NotImplementedError, RuntimeError, ValueError)


class ShownCommand:
    """A running command. Create it in a running event loop. The constructor raises OSError if the command cannot start.

    Threads call `on_output` with the number of a stream (0 or 1) and a chunk of output. An empty chunk marks the end of
    the stream. The command reads port-hook's stdin. Its stdout is a terminal if port-hook's stdout is a terminal.
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
        """Wait until the command has ended and its output was shown. Return the exit code in a shell's notation.

        If a process that the command started keeps the output open, waiting ends after one second without output.
        """
        code = await _in_thread(self._process.wait)
        exited_at = time.monotonic()
        while not all(pump.is_done(exited_at) for pump in self._pumps):  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(_LOOK_EVERY_S)
        return _SIGNAL_EXIT - code if code < 0 else code

    def send_signal(self, number: int) -> None:
        """Pass a signal on to the command, unless the terminal has already sent it to both processes."""
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
    """A thread that reads one output and shows it. The thread does not prevent the process from ending."""

    def __init__(self, number: int, pipe: OutputPipe, on_output: Callable[[int, bytes], None]) -> None:
        self._number, self._pipe, self._on_output = number, pipe, on_output
        self._reading_since: float | None = None
        self._has_ended = False
        self._is_shown = True
        threading.Thread(target=self._pump, name="command-output", daemon=True).start()

    def is_done(self, exited_at: float) -> bool:
        """Return whether the output has ended, or nothing was written for a second after the command ended."""
        since = self._reading_since
        return self._has_ended or (since is not None and time.monotonic() - max(since, exited_at) > _QUIET_S)

    def _pump(self) -> None:
        try:
            while chunk := self._read():
                self._on_output(self._number, chunk)
                self._show(chunk)
                if not self._is_shown and self._pipe.terminal is None:
                    break  # the command also gets a broken pipe
        finally:
            self._on_output(self._number, b"")
            with suppress(OSError):
                os.close(self._pipe.reader)
            self._has_ended = True

    def _read(self) -> bytes:
        self._reading_since = time.monotonic()
        try:
            return os.read(self._pipe.reader, _CHUNK_BYTES)
        except OSError:  # reading from a pseudo-terminal ends with an error
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
    """Return whether port-hook is in the foreground of a terminal, which sends Ctrl-C to port-hook's process group."""
    if sys.platform != "win32":
        with suppress(OSError), Path("/dev/tty").open("rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


async def _in_thread(work: Callable[[], int]) -> int:
    """Await `work` in a daemon thread, so that `work` does not prevent the process from ending."""
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


@frozen(kw_only=True)
class OutputPipe:
    """One output of a command. The command writes to `writer`, and port-hook reads from `reader`.

    `shown` is the stream on which port-hook shows the output. `terminal` is the descriptor of the user's terminal if
    `writer` is a pseudo-terminal, otherwise None.
    """

    reader: int
    writer: int
    shown: TextIO
    terminal: int | None = None

    def fit_terminal(self) -> None:
        """Set the size of the command's pseudo-terminal to the size of the user's terminal."""
        if sys.platform != "win32" and self.terminal is not None:
            import termios

            with suppress(OSError, termios.error):
                termios.tcsetwinsize(self.reader, termios.tcgetwinsize(self.terminal))


def open_outputs(stdout: TextIO, stderr: TextIO) -> tuple[OutputPipe, OutputPipe]:
    """Return the stdout and stderr for a command: a pseudo-terminal in place of each terminal, and otherwise a pipe.

    If port-hook's stdout and stderr are the same, the command's are the same too, so that all output stays in order.
    """
    first = _open_output(stdout)
    return first, first if _is_same(stdout, stderr) else _open_output(stderr)


def descriptor(stream: TextIO) -> int | None:
    """Return the descriptor of a stream, or None if it has none."""
    with suppress(OSError, ValueError):
        return stream.fileno()
    return None


def _is_same(first: TextIO, second: TextIO) -> bool:
    descriptors: Sequence[int | None] = (descriptor(first), descriptor(second))
    if sys.platform != "win32" and None not in descriptors:
        one, other = (os.fstat(number) for number in descriptors if number is not None)
        return os.path.samestat(one, other)
    return first is second


def _open_output(shown: TextIO) -> OutputPipe:
    if sys.platform != "win32" and shown.isatty():
        with suppress(OSError):
            return _open_terminal(shown)
    reader, writer = os.pipe()
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the system limits the size
            fcntl.fcntl(reader, _SET_PIPE_BYTES, _PIPE_BYTES)
    return OutputPipe(reader=reader, writer=writer, shown=shown)


if sys.platform != "win32":
    import termios

    def _open_terminal(shown: TextIO) -> OutputPipe:
        reader, writer = os.openpty()
        # The user's terminal processes the output, so the pseudo-terminal leaves the bytes unchanged.
        attributes = termios.tcgetattr(writer)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(writer, termios.TCSANOW, attributes)
        pipe = OutputPipe(reader=reader, writer=writer, shown=shown, terminal=shown.fileno())
        pipe.fit_terminal()
        return pipe


class PassedSignals:
    """Passes signals on to a command, and remembers whether one arrived. Enter the context in a running event loop.

    A signal that this process ignores, such as SIGHUP after `nohup`, stays ignored. The handlers run immediately. The
    event loop's own signal handlers wait while a task imports a module, and the command may end before they run.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._running: ShownCommand | None = None
        self._early: list[int] = []
        self._has_ended = False
        self._stop = asyncio.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._before = {number: handler for number, handler in _handlers() if handler is not signal.SIG_IGN}
        for number in self._before:
            with suppress(ValueError):  # not the main thread
                signal.signal(number, self._handle)
        if hasattr(signal, "SIGWINCH"):
            with suppress(*_UNSUPPORTED):
                self._loop.add_signal_handler(signal.SIGWINCH, self._resize)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            with suppress(TypeError, ValueError):  # not the main thread, or a handler that Python did not install
                signal.signal(number, handler)
        if hasattr(signal, "SIGWINCH"):
            with suppress(*_UNSUPPORTED):
                self._loop.remove_signal_handler(signal.SIGWINCH)

    def pass_to(self, running: ShownCommand) -> None:
        """Pass signals on to this command, including signals that arrived while it was starting."""
        self._running = running
        for number in self._early:
            running.send_signal(number)

    def end(self) -> None:
        """Record that the command has ended. The next signal is for port-hook."""
        self._running, self._has_ended = None, True

    async def wait(self) -> None:
        """Wait for a signal after the command has ended."""
        await self._stop.wait()

    def _handle(self, number: int, _: object) -> None:
        if self._has_ended:
            self._loop.call_soon_threadsafe(self._stop.set)
            return
        self.is_interrupted = True
        if self._running is None:
            self._early.append(number)
        else:
            self._running.send_signal(number)

    def _resize(self) -> None:
        if self._running is not None:
            self._running.fit_terminal()


def _handlers() -> Iterator[tuple[int, Any]]:
    numbers = (getattr(signal, name) for name in _NAMES if hasattr(signal, name))
    return ((number, signal.getsignal(number)) for number in numbers)
