"""Memory that was needed once goes back to the system."""

from __future__ import annotations

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 512 * 1024


def return_large_blocks() -> None:
    """Make the C library return each block of 512 KiB or more to the system when it is freed. Best effort.

    glibc raises that bound by itself, up to 32 MiB, once such blocks have been freed. After a burst of large bodies
    hundreds of megabytes stay with the process then, in pieces that nothing else fits in. Other C libraries do not
    have the call, and do not need it.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE_BYTES)


def return_free_pages() -> None:
    """Make the C library return what is free among smaller blocks, in some milliseconds. Best effort."""
    _call("malloc_trim", 0)


def _call(name: str, *values: int) -> None:
    import ctypes

    try:
        getattr(ctypes.CDLL(None), name)(*values)
    except (OSError, AttributeError, TypeError):  # another C library; on Windows, None names no library
        return
