"""Keep a server and its load on different cores, so that neither slows the other down, and a command on one core."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CORES = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset()
"""The cores that this process may use. Empty where a program cannot choose its cores (macOS, Windows)."""


def pinned(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` on the first core only, or `command` itself where that is impossible."""
    taskset = shutil.which("taskset")
    return [taskset, "--cpu-list", str(min(CORES)), *command] if taskset and CORES else [*command]


@contextmanager
def apart(pid: int) -> Iterator[None]:
    """Run the process `pid` on the first core, and this process and its child processes on the other cores.

    Nothing changes without a second core, or where a program cannot choose its cores.
    """
    if sys.platform == "linux" and len(CORES) > 1:
        first = min(CORES)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {first})
        os.sched_setaffinity(0, CORES - {first})
        try:
            yield
        finally:
            os.sched_setaffinity(0, CORES)
    else:
        yield
