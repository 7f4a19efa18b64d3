"""Keep a server and its load on different cores, so that neither takes time from the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def apart(pid: int) -> Iterator[None]:
    """Run the process `pid` on the first core, and this process and those that it starts on the other cores.

    Without a second core, and where a program cannot choose (macOS, Windows), nothing changes.
    """
    if sys.platform == "linux" and len(cores := os.sched_getaffinity(0)) > 1:
        first = min(cores)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {first})
        os.sched_setaffinity(0, cores - {first})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)
    else:
        yield
