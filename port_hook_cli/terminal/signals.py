"""Handle Ctrl-C, SIGTERM and broken pipes while a server starts, while it runs, and in commands without a server."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio  # imported when a server starts, because `sign` and `--help` do not need it


_STOPPING = (signal.SIGINT, signal.SIGTERM)
_TERMINATED = 128 + signal.SIGTERM


class _Terminated(SystemExit):
    """SIGTERM as an exception. It is a SystemExit, because asyncio propagates only SystemExit and KeyboardInterrupt."""


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process with code 0, immediately and silently, until `stop_signal` takes over.

    Use this while a server starts, when it hasn't received anything and doesn't have to clean up. The signal handler
    ends the process instead of raising an exception, because Python ignores exceptions in the callbacks of imports.
    After `stop_signal`, the signals do nothing, because the server is already ending and sets its own exit code.
    """
    before = {number: signal.getsignal(number) for number in _STOPPING}
    for number in _STOPPING:
        _install(number, _end_process)
    try:
        yield
    finally:
        for number, handler in before.items():
            _install(number, handler)


@contextmanager
def unwinding_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack before it ends the process as usual, so that temporary files are removed."""
    before = signal.getsignal(signal.SIGTERM)
    _install(signal.SIGTERM, _unwind)
    try:
        yield
    except _Terminated:
        _install(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        _install(signal.SIGTERM, before)


def _end_process(*_: object) -> None:
    os._exit(0)


def _pass_over(*_: object) -> None:
    return


def _unwind(*_: object) -> None:
    raise _Terminated(_TERMINATED)


@contextmanager
def stop_signal() -> Iterator[asyncio.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets. Enter the context in the main thread, in a coroutine.

    The event loop does not support signal handlers on Windows, so `signal.signal` is used there.
    """
    import asyncio

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = {number: signal.getsignal(number) for number in _STOPPING}

    def on_signal(*_: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    for number in _STOPPING:
        try:
            loop.add_signal_handler(number, on_signal)
        except (NotImplementedError, RuntimeError, ValueError):
            _install(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
            _install(number, _pass_over if handler is _end_process else handler)


def _install(number: signal.Signals, handler: object) -> None:
    try:
        signal.signal(number, handler)  # type: ignore[arg-type] # from getsignal
    except (TypeError, ValueError):
        # This is not the main thread (a test), or Python did not install the handler.
        return


def is_broken_pipe(error: OSError, platform: str = sys.platform) -> bool:
    """Return whether the reader of a pipe has ended. On Windows, such an error is EINVAL without a file name."""
    if isinstance(error, BrokenPipeError):
        return True
    return platform == "win32" and error.errno == errno.EINVAL and error.filename is None
