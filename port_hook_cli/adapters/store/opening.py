"""Where the store is, and the way to an open connection to it."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from port_hook_cli.adapters.store.problems import store_problem
from port_hook_cli.adapters.store.schema import ForeignDatabase, NewerSchema, migrate, read_version
from port_hook_cli.errors import StoreError

FOLDER = ".port-hook"
BUSY_TIMEOUT_S = 5.0

_OLDEST_SQLITE = (3, 33)  # UPDATE … FROM

# A checkpoint costs an fsync or two. Every 16 MiB instead of every 4 MiB keeps it out of the 99th percentile; and a
# listener's thread has done most of it by then (see `writer`).
_CHECKPOINT_PAGES = 4000
_CACHE_KIB = 2048


def store_path(option: Path | None, cwd: Path) -> Path:
    """Return the store's absolute path: the option's, taken from `cwd`, or `.port-hook/captures.db` there."""
    return (cwd / (option or Path(FOLDER, "captures.db"))).absolute()


def require_sqlite(version: tuple[int, ...]) -> None:
    """Raise StoreError for a SQLite that is too old."""
    if version < _OLDEST_SQLITE:
        raise StoreError(
            f"This Python comes with SQLite {'.'.join(map(str, version))}, and the capture store needs 3.33 or newer.",
            hint="Run port-hook with another Python.",
        )


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Return a connection to a store of the newest schema; raises StoreError in words."""
    require_sqlite(sqlite3.sqlite_version_info)
    if create:
        _make_private_file(path)
    elif not path.exists():
        raise StoreError(
            f"There is no capture store at {path}.",
            hint="Start `port-hook listen` in this folder, or name the store with --store.",
        )
    try:
        return _connect(path)
    except sqlite3.Error as error:
        raise store_problem(error, path) from error
    except ForeignDatabase as error:
        raise StoreError(
            f"{path} is a database of another program.", hint="Name another file with --store; this one was left alone."
        ) from error
    except NewerSchema as error:
        raise StoreError(
            f"{path} was written by a newer port-hook ({error}).",
            hint="Upgrade port-hook, or name another store with --store.",
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        read_version(connection)  # before anything is changed: a stranger's file is left as it is
        _set_up(connection)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    # A file remembers this one. Where several programs open a new store at once, some are told without any waiting
    # that it is locked (seen in 3 of 100 openings by six processes).
    execute_patiently(connection, "PRAGMA journal_mode = WAL")
    for setting in (
        "synchronous = NORMAL",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"cache_size = -{_CACHE_KIB}",
        "mmap_size = 0",
    ):
        connection.execute(f"PRAGMA {setting}")


def execute_patiently(connection: sqlite3.Connection, sql: str, *, timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Execute a statement that SQLite does not wait for a lock with; raises sqlite3.Error after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute(sql)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _make_private_file(path: Path) -> None:
    """Make the file, readable by its owner alone (SQLite gives its -wal and -shm the same mode), and its folder."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.name == FOLDER:
            _keep_out_of_git(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"The capture store {path} could not be made: {error.strerror}.",
            hint="Look at the permissions of its folder and at the disk, or name another store with --store.",
        ) from error


def _keep_out_of_git(folder: Path) -> None:
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
