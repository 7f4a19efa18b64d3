"""Streams on a pseudo-terminal: the user's input, and the output of a command."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from port_hook_cli.runtime import Runtime


class Keyboard(io.BytesIO):
    def isatty(self) -> bool:
        return True


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def on_a_terminal(runtime: Runtime) -> Iterator[tuple[Runtime, int]]:
    """Yield a runtime whose stdin and stderr are a pseudo-terminal, and the user's end of it."""
    ours, theirs = os.openpty()
    with os.fdopen(os.dup(theirs), "rb", buffering=0) as stdin, os.fdopen(theirs, "w") as stderr:
        yield replace(runtime, stdin=stdin, stderr=stderr), ours
    os.close(ours)
