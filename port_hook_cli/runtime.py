"""The process as a value: what commands read of the world, built once and passed down."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO


def new_capture_id() -> str:
    """Return a fresh capture id: 12 hexadecimal digits, so that a short prefix is enough to name one."""
    return os.urandom(6).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Streams, environment, folders, clock and ids of this process.

    `now` returns seconds since the epoch. Nothing below `commands` reads these from globals, so a test passes
    its own instead of patching ours.
    """

    environ: Mapping[str, str] = field(repr=False)
    cwd: Path
    home: Path
    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    now: Callable[[], float] = time.time
    new_id: Callable[[], str] = new_capture_id


def system_runtime() -> Runtime:
    """Return the runtime of the real process."""
    return Runtime(
        environ=os.environ,
        cwd=Path.cwd(),
        home=Path.home(),
        stdin=sys.stdin.buffer,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
