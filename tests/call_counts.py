"""Counts of Python calls: a cost that does not depend on the machine and hardly on its load."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import port_hook_cli

_PACKAGE = str(Path(port_hook_cli.__file__).parent)


class Calls:
    """How many calls there were."""

    count = 0


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Count the calls of port-hook's named functions in this thread.

    A resumed coroutine doesn't count again, because the load decides how often one waits. Comprehensions don't count
    either, because they are functions only before Python 3.12.
    """
    calls = Calls()

    def count(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        is_ours = event == "call" and code.co_filename.startswith(_PACKAGE) and not code.co_name.startswith("<")
        if is_ours and frame.f_lasti <= _start(code):
            calls.count += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


@cache
def _start(code: CodeType) -> int:
    """Return the offset of the instruction with which a call begins. A resumed coroutine is after it."""
    return next(each.offset for each in dis.get_instructions(code) if each.opname == "RESUME")
