"""The pipes and pseudo-terminals that a command writes to, while port-hook reads along."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

_PIPE_BYTES = 1024 * 1024
_SET_PIPE_BYTES = 1031  # F_SETPIPE_SZ of Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPipe:
    """One output of a command: port-hook reads at `reader` what the command writes at `writer`.

    `shown` is the stream on which port-hook shows it. `terminal` is the descriptor of the user's terminal if the
    command's side is a pseudo-terminal, else None.
    """

    reader: int
    writer: int
    shown: TextIO
    terminal: int | None = None

    def fit_terminal(self) -> None:
        """Give the command's side the size of the user's terminal."""
        if sys.platform != "win32" and self.terminal is not None:
            import termios

            with suppress(OSError, termios.error):
                termios.tcsetwinsize(self.reader, termios.tcgetwinsize(self.terminal))


def open_outputs(stdout: TextIO, stderr: TextIO) -> tuple[OutputPipe, OutputPipe]:
    """Return what a command gets as stdout and stderr: a pseudo-terminal in place of a terminal, else a pipe.

    Both are the same if port-hook's own are the same: then all of the output stays in order.
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
        # The user's terminal processes the output: here, every byte stays as it is.
        attributes = termios.tcgetattr(writer)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(writer, termios.TCSANOW, attributes)
        pipe = OutputPipe(reader=reader, writer=writer, shown=shown, terminal=shown.fileno())
        pipe.fit_terminal()
        return pipe
