"""Errors of writing to a pipe."""

from __future__ import annotations

import errno
import sys


def is_broken_pipe(error: OSError, platform: str = sys.platform) -> bool:
    """Return whether the reader of a pipe has ended. On Windows, that error is EINVAL, without a file name."""
    if isinstance(error, BrokenPipeError):
        return True
    return platform == "win32" and error.errno == errno.EINVAL and error.filename is None
