"""The process as a value: everything that commands read from their environment. It is created once and passed down."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import BinaryIO, TextIO

from port_hook_cli.errors import SettingsError, UsageError
from port_hook_cli.frozen import frozen


def _capture_ids() -> Iterator[str]:
    # Random bytes are read in blocks. Each system call releases the interpreter's lock, and getting the lock back takes
    # longer than the call.
    while True:
        block = os.urandom(6 * 256).hex()
        yield from (block[start : start + 12] for start in range(0, len(block), 12))


_ids = _capture_ids()


def new_capture_id() -> str:
    """Return a new capture ID: 12 random hexadecimal digits. Even a short prefix of the ID is usually unique."""
    return next(_ids)


class Memory:
    """What this process remembers: lines to print only once, secrets that it has read, and stdin if it was a secret."""

    def __init__(self) -> None:
        self.stdin: bytes | None = None
        self.told: set[str] = set()
        self.secrets: set[str] = set()

    def is_new(self, line: str) -> bool:
        """Return whether `line` is new to this process, and remember the line."""
        known = line in self.told
        self.told.add(line)
        return not known


@frozen(kw_only=True)
class Runtime:
    """The streams, environment, directories, clock, IDs and memory of this process.

    `now` returns seconds since the epoch. The other packages never read any of these from globals, so tests can pass
    their own values instead of patching.
    """

    environ: Mapping[str, str]
    cwd: Path
    home: Path
    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    now: Callable[[], float] = time.time
    new_id: Callable[[], str] = new_capture_id
    memory: Memory = field(default_factory=Memory)

    def keep_secret(self, value: str) -> None:
        """Remember a secret, so that this process's crash report masks it."""
        self.memory.secrets.add(value)


def system_runtime(find_home: Callable[[], Path] = Path.home) -> Runtime:
    """Return the runtime of the real process.

    Raises UsageError if the current directory was deleted, and SettingsError if there is no home directory.

    The null device replaces a closed stream (`>&-`). A character that the terminal's encoding lacks is written as an
    escape sequence instead of raising an exception.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return Runtime(
        environ=os.environ,
        cwd=_current_folder(),
        home=_home_folder(find_home),
        stdin=sys.stdin.buffer if sys.stdin else io.BytesIO(),
        stdout=sys.stdout or _nowhere(),
        stderr=sys.stderr or _nowhere(),
    )


def silent_runtime() -> Runtime:
    """Return the runtime of a Python program that calls port-hook. Its streams are neither read nor written.

    Raises the same errors as `system_runtime`.
    """
    return Runtime(
        environ=os.environ,
        cwd=_current_folder(),
        home=_home_folder(Path.home),
        stdin=io.BytesIO(),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"The current directory cannot be used: {error.strerror}.",
            hint="If it was deleted, change to another directory.",
        ) from error


def _home_folder(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except RuntimeError as error:
        raise SettingsError(
            "This user has no home directory, and HOME is not set.",
            hint="Set HOME to a directory that only you can write to.",
        ) from error


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
