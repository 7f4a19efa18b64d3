"""SQLite's errors as errors for a user."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from port_hook_cli.errors import StoreError

_ANOTHER = "name another store with --store"

# By the primary result code (the low byte of `sqlite_errorcode`).
_WORDS = {
    sqlite3.SQLITE_FULL: ("There is no space left for {path}.", "Free some space, or " + _ANOTHER + "."),
    sqlite3.SQLITE_IOERR: (
        "{path} could not be read or written: {error}.",
        "Check whether the disk is full or missing, or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_READONLY: ("{path} is read-only.", "Make it and its folder writable, or " + _ANOTHER + "."),
    sqlite3.SQLITE_CANTOPEN: (
        "{path} could not be opened.",
        "Check the permissions of the file and of its folder, or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_BUSY: (
        "Another program kept {path} locked for too long.",
        "Close the program that uses it (a database browser?), or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_CORRUPT: ("{path} is damaged: {error}.", "Move it away. port-hook then creates a new one."),
    sqlite3.SQLITE_TOOBIG: (
        "{path} has a value that is larger than any value that port-hook saves.",
        "Someone else has changed it: move it away, or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_NOTADB: ("{path} is not a capture store.", "Name the right file with --store, or move it away."),
}
_ANY_OTHER = ("{path} could not be read or written: {error}.", "Move it away, or " + _ANOTHER + ".")


class StoreLocked(StoreError):
    """Another program has locked the file."""


def store_problem(error: sqlite3.Error, path: Path) -> StoreError:
    """Return an SQLite error as a problem that a user can fix; raises KeyboardInterrupt if Ctrl-C caused it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        raise KeyboardInterrupt from error
    words, hint = _WORDS.get(code, _ANY_OTHER)
    kind = StoreLocked if code == sqlite3.SQLITE_BUSY else StoreError
    return kind(words.format(path=path, error=error), hint=hint)
