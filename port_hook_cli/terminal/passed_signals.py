"""Passes Ctrl-C, SIGTERM and a terminal's hang-up on to a command that port-hook runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

from port_hook_cli.terminal.shown_command import ShownCommand

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_UNSUPPORTED = (NotImplementedError, RuntimeError, ValueError)


class PassedSignals:
    """Passes signals on to a command, and remembers that there was one. Enter it in a running event loop.

    A signal that this process ignores, such as SIGHUP after `nohup`, stays ignored.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._running: ShownCommand | None = None
        self._has_ended = False
        self._stop = asyncio.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: handler for number, handler in _handlers() if handler is not signal.SIG_IGN}
        for number in self._before:
            self._install(number)
        if hasattr(signal, "SIGWINCH"):
            with suppress(*_UNSUPPORTED):
                asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, self._resize)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self._before.items():
            with suppress(*_UNSUPPORTED):
                loop.remove_signal_handler(number)
            with suppress(TypeError, ValueError):  # not the main thread, or a handler that Python did not install
                signal.signal(number, handler)
        if hasattr(signal, "SIGWINCH"):
            with suppress(*_UNSUPPORTED):
                loop.remove_signal_handler(signal.SIGWINCH)

    def pass_to(self, running: ShownCommand) -> None:
        """Pass signals on to a command from now on."""
        self._running = running

    def end(self) -> None:
        """Record that the command has ended: the next signal is for port-hook."""
        self._running, self._has_ended = None, True

    async def wait(self) -> None:
        """Wait for a signal after the end of the command."""
        await self._stop.wait()

    def _install(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(number, self._handle, number)
        except _UNSUPPORTED:  # Windows, or not the main thread
            with suppress(ValueError):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._handle, number))

    def _handle(self, number: int) -> None:
        if self._has_ended:
            self._stop.set()
            return
        self.is_interrupted = True
        if self._running is not None:
            self._running.send_signal(number)

    def _resize(self) -> None:
        if self._running is not None:
            self._running.fit_terminal()


def _handlers() -> Iterator[tuple[int, Any]]:
    numbers = (getattr(signal, name) for name in _NAMES if hasattr(signal, name))
    return ((number, signal.getsignal(number)) for number in numbers)
