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
    import ctypes

    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    except (OSError, AttributeError, TypeError):  # another C library; on Windows, None names no library
        return
