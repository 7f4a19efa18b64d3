"""The C library's heap: quick for what a listener allocates all the time, and given back after a burst. glibc only."""

from __future__ import annotations

import sys
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1024 * 1024


def tune_heap() -> None:
    """Keep the blocks of 256 KiB that asyncio allocates for each `recv` in the heap.

    By default glibc shrinks the heap whenever its end is free, so that each `recv` may grow and shrink it again: 12 µs
    for each request, or nothing, depending on what happens to lie above the block. Blocks of 1 MiB and more, such as
    large bodies, come from the system and go back to it at once.
    """
    for option, value in ((_M_TRIM_THRESHOLD, 16 * _MIB), (_M_TOP_PAD, _MIB), (_M_MMAP_THRESHOLD, _MIB)):
        _call("mallopt", option, value)


def return_freed_memory() -> None:
    """Give the free pages of the heap back to the system; takes a few milliseconds, without the interpreter's lock.

    The heap shrinks by itself only at its end: one small block there keeps hundreds of megabytes of bodies that were
    let go of.
    """
    _call("malloc_trim", 0)


def _call(function: str, *values: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        getattr(ctypes.CDLL(None), function)(*values)
