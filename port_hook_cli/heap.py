"""Tune the C library's heap: make a listener's usual allocations fast, and return freed memory after a burst.

The functions have an effect only with glibc.
"""

from __future__ import annotations

import sys
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1024 * 1024


def tune_heap() -> None:
    """Keep the 256 KiB blocks that asyncio allocates for each `recv` in the heap.

    By default, glibc shrinks the heap whenever the end of the heap is free, so each `recv` may grow and shrink the
    heap. This costs 12 µs per request or nothing, depending on which block is last. Blocks of 1 MiB and more, such as
    large bodies, come from the system and return to it immediately.
    """
    for option, value in ((_M_TRIM_THRESHOLD, 16 * _MIB), (_M_TOP_PAD, _MIB), (_M_MMAP_THRESHOLD, _MIB)):
        _call("mallopt", option, value)


def return_freed_memory() -> None:
    """Return the free pages of the heap to the system.

    The call takes a few milliseconds without the interpreter's lock. By itself, the heap shrinks only at its end. One
    small block at the end can hold hundreds of megabytes of freed bodies.
    """
    _call("malloc_trim", 0)


def _call(function: str, *values: int) -> None:
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):  # a C library without this function
            getattr(ctypes.CDLL(None), function)(*values)
