"""Hide the keys that a user types while a server runs, and prevent the shell from reading these keys afterward."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from port_hook_cli.runtime import Runtime
from port_hook_cli.terminal.coding_agent import coding_agent

# Signals that stop or end a process without unwinding its stack.
_ABRUPT = ("SIGTSTP", "SIGQUIT", "SIGHUP")


@contextmanager
def typed_keys_hidden(runtime: Runtime, *, at_once: bool = False) -> Iterator[bool]:
    """Turn the terminal's echo off until the context ends, and discard the keys typed meanwhile.

    With `at_once`, port-hook can read a key before Enter is pressed, and reading never waits for a key. The context
    yields whether the terminal was changed.

    The function does nothing on Windows, in the background, for a coding agent, and when stdout is not a terminal. In
    the last case, another program, such as a pager, may read the keys. SIGTSTP (Ctrl-Z), SIGQUIT and SIGHUP also
    restore the echo. The function works only in the main thread.
    """
    terminal = _terminal(runtime, at_once=at_once)
    if terminal is None or not terminal.hide():
        yield False
        return
    before = {number: signal.getsignal(number) for number in _abrupt_signals()}
    try:
        for number in before:
            signal.signal(number, terminal.leave)
        yield True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        terminal.show()


class _Terminal:
    """The echo of the terminal behind a file descriptor. With `at_once`, also whether a read waits for Enter or a key.

    Other settings of the terminal do not change, because a shell may have set them.
    """

    def __init__(self, descriptor: int, *, at_once: bool) -> None:
        import termios

        self._termios: Any = termios
        self._descriptor = descriptor
        self._at_once = at_once
        self._flags = self._termios.ECHO | (self._termios.ICANON if at_once else 0)
        self._cleared = 0
        self._waits: Mapping[int, Any] = {}

    def hide(self) -> bool:
        """Turn the echo off. Return False if the echo is already off or this process is in the background."""
        return is_in_foreground(self._descriptor) and self._set_echo(on=False)

    def show(self) -> None:
        """Turn the echo on, and discard the keys typed meanwhile, because the shell would run them unseen."""
        if not is_in_foreground(self._descriptor):
            return
        with suppress(self._termios.error):
            self._termios.tcflush(self._descriptor, self._termios.TCIFLUSH)
        self._set_echo(on=True)

    def leave(self, number: int, _: object) -> None:
        """Restore the echo, then let the signal take its default effect.

        After Ctrl-Z and `fg`, turn the echo off again.
        """
        self.show()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, self.leave)
        self.hide()

    def _set_echo(self, *, on: bool) -> bool:
        termios = self._termios
        try:
            settings = termios.tcgetattr(self._descriptor)
            if bool(settings[3] & termios.ECHO) is on:
                return False
            if not on:
                self._cleared = settings[3] & self._flags
                self._waits = {index: settings[6][index] for index in (termios.VMIN, termios.VTIME)}
            settings[3] = settings[3] | self._cleared if on else settings[3] & ~self._flags
            if self._at_once:
                # Ctrl-C and Ctrl-Z discard the keys typed before them. So the terminal may have no key to read, even
                # though it was readable a moment before. A read that waits for a key would then block the event loop.
                for index, wait in self._waits.items():
                    settings[6][index] = wait if on else 0
            # TCSADRAIN would wait for output that the user has paused with Ctrl-S.
            termios.tcsetattr(self._descriptor, termios.TCSANOW, settings)
        except termios.error:  # the terminal was closed
            return False
        return True


def is_in_foreground(descriptor: int) -> bool:
    """Return whether this process may use the terminal.

    The system stops a background process that uses the terminal.
    """
    if sys.platform != "win32":
        with suppress(OSError):
            return os.tcgetpgrp(descriptor) == os.getpgrp()
    return False


def _terminal(runtime: Runtime, *, at_once: bool) -> _Terminal | None:
    try:
        if runtime.stdin.isatty() and runtime.stdout.isatty() and not coding_agent(runtime.environ):
            return _Terminal(runtime.stdin.fileno(), at_once=at_once)
    except (ImportError, OSError, ValueError):  # Windows, or a closed stream
        return None
    return None


def _abrupt_signals() -> list[int]:
    """Return the signals to handle.

    Signals that the process already ignores, for example because of `nohup`, stay ignored.
    """
    numbers = [getattr(signal, name) for name in _ABRUPT if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
