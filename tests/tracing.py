"""Kill a process before a chosen line of port-hook's own code, for tests of the state after a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import port_hook_cli

Trace = Callable[[FrameType, str, Any], Any]


class KilledAtLine:
    """Counts the lines that this process runs of some modules, such as `files/own_files.py`."""

    def __init__(self, *modules: str) -> None:
        self._files = tuple(str(Path(port_hook_cli.__file__).parent / module) for module in modules)
        self.ran = 0

    def before(self, last: int) -> Trace:
        """Return a trace function that kills the process before its `last`th line. 0 never kills it."""

        def trace(frame: FrameType, event: str, _: Any) -> Trace | None:
            if not frame.f_code.co_filename.endswith(self._files):
                return None
            if event == "line":
                self.ran += 1
                if self.ran == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        return trace
