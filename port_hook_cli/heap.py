"""Memory that was freed goes back to the system."""

from __future__ import annotations

import sys
from contextlib import suppress


def return_freed_memory() -> None:
    """Give the free pages of glibc's heap back to the system; takes a few milliseconds, without the interpreter's lock.

    Once a block of megabytes was freed, glibc takes further ones from its heap, which shrinks by itself only at its
    end: one small block there keeps hundreds of megabytes of bodies that were let go of. Telling it beforehand to take
    large blocks from the system each time (mallopt) costs a listener far more. Other C libraries have no such call.
    """
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
