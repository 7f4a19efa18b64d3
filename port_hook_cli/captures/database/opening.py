"""Find the store, open a connection to it, and turn SQLite's errors into errors for the user."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

from port_hook_cli.captures.database.conditions import LARGEST_VALUE
from port_hook_cli.captures.database.files import FOLDER, LOG, beside, check_files, close_to_others, make
from port_hook_cli.captures.database.schema import (
    LATEST,
    NewerSchema,
    NotACaptureStore,
    PlantedSchema,
    UnreleasedSchema,
    check_schema,
    migrate,
    read_version,
)
from port_hook_cli.errors import StoreError

BUSY_TIMEOUT_S = 5.0

_OLDEST_SQLITE = (3, 33)  # needed for UPDATE … FROM

# A checkpoint inside a commit costs three syncs. Unless the disk is too slow, a thread of the listener makes a
# checkpoint long before the log has this many pages (see `writer`).
_CHECKPOINT_PAGES = 4000
_OCTET_LENGTH = (3, 43)
_OCTETS = r"\boctet_length\(([\w.]+)\)"
# A row has some small columns in addition to its largest value, and SQLite limits the sum.
_SLACK = 8 * 1024 * 1024
_CACHE_KIB = 2048
# If a large capture makes the log grow beyond this size, SQLite truncates the log again.
_LOG_BYTES = 16 * 1024 * 1024
# This many instructions take about a millisecond.
_INSTRUCTIONS = 100_000


def store_path(option: Path | None, cwd: Path) -> Path:
    """Return the store's absolute path: the option's path, relative to `cwd`, or `.port-hook/captures.db` in `cwd`.

    Raises UsageError for a directory.
    """
    if option is None:
        return (cwd / FOLDER / "captures.db").absolute()
    from port_hook_cli.files.user_files import file_path

    return file_path("--store", option, cwd)


def require_sqlite(version: tuple[int, ...]) -> None:
    """Raise StoreError if SQLite is too old."""
    if version < _OLDEST_SQLITE:
        raise StoreError(
            f"This Python comes with SQLite {'.'.join(map(str, version))}, but the capture store needs 3.33 or newer.",
            hint="Run port-hook with another Python.",
        )


class Access(Enum):
    """The purpose for which a store is opened."""

    CREATE = "create"
    """Open the store to write. A missing store is created."""
    READ = "read"
    """Open the store to read, and to write if the files allow it."""
    SHOW = "show"
    """Open the store only to read and display it."""
    GLANCE = "glance"
    """Open the store to read columns that every schema has. The store keeps its schema, or remains without one."""


class Opened(NamedTuple):
    """An open store, and warnings about its files for the user."""

    connection: sqlite3.Connection
    warnings: tuple[str, ...] = ()


def connect(path: Path, access: Access, *, patience_s: float = BUSY_TIMEOUT_S) -> Opened:
    """Open a store, and upgrade it to the latest schema unless the access is GLANCE. Raises StoreError.

    If another program has locked the file, each statement waits up to `patience_s` seconds.
    """
    require_sqlite(sqlite3.sqlite_version_info)
    show_only = access in {Access.SHOW, Access.GLANCE}
    warnings = check_files(path, show_only=show_only)
    if access is Access.CREATE:
        make(path)
    elif not path.exists():
        raise StoreError(
            f"Capture store not found: {path}.",
            hint="Start `port-hook listen` in this directory, or correct the path of --store.",
        )
    opened = _open(path, access, patience_s)
    try:
        if read_version(opened.connection):  # the file is a store of port-hook, not an empty file
            warnings += close_to_others(path, show_only=show_only)
        # By now, SQLite has created its files, or opened files that another user created in the meantime.
        check_files(path, show_only=show_only)
    except StoreError:
        opened.connection.close()
        raise
    return Opened(opened.connection, (*warnings, *opened.warnings))


def _open(path: Path, access: Access, patience_s: float) -> Opened:
    try:
        if access is Access.CREATE:
            if not os.access(path, os.W_OK):  # SQLite would open it read-only, and fail at the first request
                raise _problem(sqlite3.SQLITE_READONLY, path)
            return Opened(_connect(path, "mode=rw", patience_s=patience_s))
        return _open_to_read(path, patience_s, migrates=access is not Access.GLANCE)
    except sqlite3.Error as error:
        raise store_problem(error, path) from error
    except NotACaptureStore as error:
        raise StoreError(
            f"{path} is a database of another program.",
            hint="Choose another file with --store. This file was not changed.",
        ) from error
    except PlantedSchema as error:
        raise StoreError(
            f"{path} has a {error} that port-hook did not make, so someone else has changed it.",
            hint="Move it to another directory, or choose another store with --store. This store was not changed.",
        ) from error
    except UnreleasedSchema as error:
        raise StoreError(
            f"A prerelease version of port-hook wrote {path} ({error}), so this version cannot read it.",
            hint="Move it to another directory, or choose another store with --store. This store was not changed.",
        ) from error
    except NewerSchema as error:
        raise StoreError(
            f"A newer version of port-hook wrote {path} ({error}).",
            hint="Upgrade port-hook, or pass another store with --store.",
        ) from error


def _open_to_read(path: Path, patience_s: float, *, migrates: bool) -> Opened:
    """Open a store for a reader: writable if possible, which SQLite prefers, otherwise read-only."""
    opening = partial(_connect, path, patience_s=patience_s, interruptible=True, migrates=migrates)
    for mode in ("mode=rw", "mode=ro"):
        try:
            return Opened(opening(mode))
        except sqlite3.OperationalError as error:
            if result_code(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
                raise
    opened = Opened(opening("mode=ro&immutable=1"))
    log = beside(path, LOG)
    if not (log.exists() and log.stat().st_size):
        return opened
    return Opened(opened.connection, (f"the latest captures may be missing, because {log} cannot be read",))


def _connect(
    path: Path, mode: str, *, patience_s: float, interruptible: bool = False, migrates: bool = True
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?{mode}",
        uri=True,
        timeout=patience_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if interruptible:
            end_at_ctrl_c(connection)
        distrust(connection)
        version = check_schema(connection)
        if not migrates:
            return connection
        if mode == "mode=rw":
            _set_up(connection, patience_s)
            migrate(connection)
        elif version < LATEST:
            return _migrated_copy(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def distrust(connection: sqlite3.Connection) -> None:
    """Limit what a database's content can do, because any program may have written it.

    The caller must check the database's definitions next. A statement that would read or make a value of more than
    LARGEST_VALUE bytes fails with SQLITE_TOOBIG, before SQLite allocates memory for the value.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE + _SLACK)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def portable(sql: str) -> str:
    """Return a statement with `octet_length(COLUMN)` in a form that the installed SQLite can execute.

    SQLite before 3.43 does not have this function, and has to read text to find its length in bytes.
    """
    if sqlite3.sqlite_version_info >= _OCTET_LENGTH:
        return sql
    return re.sub(_OCTETS, r"length(CAST(\1 AS BLOB))", sql)


def _migrated_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a migrated, temporary copy of a store that has an old schema and cannot be written.

    The copy is read-only too, because changes to it would be lost.
    """
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    distrust(copy)
    with closing(connection):
        connection.backup(copy)
    migrate(copy)
    copy.execute("PRAGMA query_only = ON")
    return copy


def end_at_ctrl_c(connection: sqlite3.Connection) -> None:
    """Let Ctrl-C end a statement of this connection, however long the statement takes, with SQLITE_INTERRUPT.

    Python handles signals only between its own instructions, and SQLite returns only when the statement is done.
    """
    connection.set_progress_handler(lambda: 0, _INSTRUCTIONS)


def _set_up(connection: sqlite3.Connection, patience_s: float) -> None:
    # SQLite saves this setting in the file. If several programs open a new store concurrently, SQLite immediately tells
    # some of them that the file is locked (in 3 of 100 attempts with six processes).
    execute_patiently(connection, "PRAGMA journal_mode = WAL", timeout_s=patience_s)
    for setting in (
        "synchronous = NORMAL",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"cache_size = -{_CACHE_KIB}",
        "mmap_size = 0",
        f"journal_size_limit = {_LOG_BYTES}",
    ):
        connection.execute(f"PRAGMA {setting}")


def execute_patiently(connection: sqlite3.Connection, sql: str, *, timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Retry a statement for which SQLite doesn't wait for a lock. Raises sqlite3.Error after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute(sql)
        except sqlite3.OperationalError as error:
            if result_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def without_waiting(connection: sqlite3.Connection) -> Iterator[None]:
    """Let statements in the block fail immediately if another program has locked the file."""
    (patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience_ms}")


_ANOTHER = "pass another store with --store"

# The keys are result codes, like the values that `result_code` returns.
_WORDS = {
    sqlite3.SQLITE_FULL: ("No space is left for {path}.", "Free some space, or " + _ANOTHER + "."),
    sqlite3.SQLITE_IOERR: (
        "{path} could not be read or written: {error}.",
        "Check whether the disk is full or missing, or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_READONLY: ("{path} is read-only.", "Make it and its directory writable, or " + _ANOTHER + "."),
    sqlite3.SQLITE_CANTOPEN: (
        "{path} could not be opened.",
        "Check the permissions of the file and its directory, or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_BUSY: (
        "Another program locked {path} for too long.",
        "Close the program that uses it (a database browser?), or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "{path} is damaged: {error}.",
        "Move it to another directory. port-hook then creates a new store.",
    ),
    sqlite3.SQLITE_TOOBIG: (
        "{path} has a value that is larger than any value that port-hook saves.",
        "Someone else has changed it: move it to another directory, or " + _ANOTHER + ".",
    ),
    sqlite3.SQLITE_NOTADB: (
        "{path} is not a capture store.",
        "Pass the right file with --store, or move this file to another directory.",
    ),
}
_ANY_OTHER = ("{path} could not be read or written: {error}.", "Move it to another directory, or " + _ANOTHER + ".")


class StoreLocked(StoreError):
    """Another program has locked the file."""


def result_code(error: sqlite3.Error) -> int:
    """Return the primary result code of an error, such as SQLITE_BUSY, or 0 if the error is not from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def store_problem(error: sqlite3.Error, path: Path) -> StoreError:
    """Return a StoreError that explains an SQLite error. Raises KeyboardInterrupt if Ctrl-C caused the error."""
    code = result_code(error)
    if code == sqlite3.SQLITE_INTERRUPT:
        raise KeyboardInterrupt from error
    return _problem(code, path, error)


def _problem(code: int, path: Path, error: sqlite3.Error | None = None) -> StoreError:
    words, hint = _WORDS.get(code, _ANY_OTHER)
    kind = StoreLocked if code == sqlite3.SQLITE_BUSY else StoreError
    return kind(words.format(path=path, error=error), hint=hint)


@contextmanager
def sqlite_problems(path: Path) -> Iterator[None]:
    """Convert SQLite's errors in the block with `store_problem`."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_problem(error, path) from error
