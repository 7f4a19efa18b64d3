"""How many files and sockets this process may have open at once."""

from __future__ import annotations

import sys

_LEAST = 32
_OTHER_FILES = 256


def affordable_connections(wanted: int) -> int:
    """Return how many connections a server takes: `wanted`, or fewer if the system allows too few open files.

    Without a free file for the next connection, no client would get a response. A forwarded request uses two files.
    """
    files = allow_open_files(2 * wanted + _OTHER_FILES)
    return min(wanted, max(_LEAST, (files - _OTHER_FILES) // 2))


if sys.platform == "win32":

    def allow_open_files(wanted: int) -> int:
        """Return `wanted`: Windows has no such limit."""
        return wanted

else:
    import resource

    def allow_open_files(wanted: int) -> int:
        """Raise the limit of open files to `wanted` as far as the system allows it, and return the limit."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return wanted
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError):
            return soft
        return allowed
