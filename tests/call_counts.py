"""Counts of Python calls: a cost that depends neither on the machine nor on its load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import port_hook_cli

_PACKAGE = str(Path(port_hook_cli.__file__).parent)


class Calls:
    """How many calls there were."""

    count = 0


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Count the calls of port-hook's named functions in this thread. A resumed coroutine counts again.

    Comprehensions do not count, because they are functions only before Python 3.12.
    """
    calls = Calls()

    def count(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_PACKAGE) and not code.co_name.startswith("<"):
            calls.count += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)
