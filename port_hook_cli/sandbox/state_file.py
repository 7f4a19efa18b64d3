"""The sandbox's state in an SQLite file, with one row for each action, run, log entry and entity.

The changes of a call are written in one transaction before the response. They survive if the process is killed at any
moment. As with captures, the file isn't synced to the disk at each call, so a power cut may lose the latest changes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from port_hook_cli.captures.database.conditions import LARGEST_VALUE
from port_hook_cli.captures.database.files import check_files, close_to_others
from port_hook_cli.captures.database.opening import distrust, end_at_ctrl_c, portable, result_code
from port_hook_cli.captures.database.schema import PlantedSchema, check_definitions
from port_hook_cli.errors import StoreError
from port_hook_cli.files.own_files import make_folders
from port_hook_cli.files.user_files import MAX_INPUT_BYTES
from port_hook_cli.javascript.nesting import MOST_MARKS, count_marks
from port_hook_cli.sandbox.state import Row

# Files in format 1 have no resources. A version that writes format 1 would treat a file with resources as damaged.
_READ = frozenset({1, 2})
_VERSION = 2
_SQLITE_MAGIC = b"SQLite format 3\0"
# The limit for all parts together, because three bytes of JSON can take 70 bytes in memory.
MOST_FILE_MARKS = 8 * MOST_MARKS
# Logs are read after the runs that they refer to, in order of their keys. Other rows are read oldest first.
_TABLE = "CREATE TABLE part (kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (kind, key))"
_SIZE = "octet_length(kind) + octet_length(key) + octet_length(document)"
_SIZES = f"SELECT max({_SIZE}), sum({_SIZE}) FROM part"  # noqa: S608 - names of our own
_ORDER = "CASE kind WHEN 'log' THEN 1 ELSE 0 END, CASE kind WHEN 'log' THEN key END, rowid"


class StateFile:
    """An open state file, which no other sandbox can open. Use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, lock_timeout_s: float = 1.0) -> Self:
        """Open the file, or create a file that only this user can read.

        Raises StoreError, including if another process still locks the file after `lock_timeout_s` seconds.
        """
        with _store_errors(path):
            check_files(path, show_only=False)
            make_folders(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
            _check_kind(path)
            connection = sqlite3.connect(path, isolation_level=None, timeout=lock_timeout_s)
            try:
                end_at_ctrl_c(connection)
                distrust(connection)
                _check_tables(path, connection)
                # The lock is exclusive, because two sandboxes would overwrite each other's runs. An exclusive lock also
                # avoids a shared memory file.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                _create_table(connection)
                close_to_others(path, show_only=False)
                check_files(path, show_only=False)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the file. Runs come before their logs. Raises StoreError."""
        with _store_errors(self._path):
            self._check_sizes()
            marks = 0
            for kind, key, text in self._connection.execute(f"SELECT kind, key, document FROM part ORDER BY {_ORDER}"):  # noqa: S608
                marks += count_marks(text) if isinstance(text, str) else 0
                if marks > MOST_FILE_MARKS:
                    raise ValueError("it has too many values")
                yield _row(kind, key, text)

    def _check_sizes(self) -> None:
        largest, total = self._connection.execute(portable(_SIZES)).fetchone()
        if (largest or 0) > LARGEST_VALUE or (total or 0) > MAX_INPUT_BYTES:
            raise StoreError(
                f"The state file {self._path} is not used: it has more than {MAX_INPUT_BYTES // 2**20} MiB, or "
                f"{LARGEST_VALUE // 2**20} MiB in one part.",
                hint="Move it to another directory to start with an empty state.",
            )

    def write(self, rows: Sequence[Row]) -> None:
        """Write all `rows` in one transaction. Raises StoreError."""
        with _store_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for kind, key, value in rows:
                    # Keys are escaped to ASCII, because SQLite cannot store a lone surrogate.
                    self._write(kind, json.dumps(key), value)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _write(self, kind: str, key: str, value: object) -> None:
        if value is None:
            self._connection.execute("DELETE FROM part WHERE kind = ? AND key = ?", (kind, key))
            return
        self._connection.execute(
            "INSERT INTO part (kind, key, document) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document",
            (kind, key, json.dumps(value)),
        )


def _row(kind: Any, key: Any, document: Any) -> Row:
    """Return a row of the file. Raises ValueError or RecursionError for a row that `write` doesn't write."""
    if not all(isinstance(text, str) for text in (kind, key, document)):
        raise ValueError("a part of it is not text")
    name = json.loads(key)
    if not isinstance(name, str):
        raise ValueError("a key is not text")  # noqa: TRY004 - the file is damaged, not the caller's argument
    return kind, name, json.loads(document)


def _check_kind(path: Path) -> None:
    with path.open("rb") as file:
        beginning = file.read(len(_SQLITE_MAGIC))
    if beginning not in {b"", _SQLITE_MAGIC}:
        raise StoreError(f"{path} is not a sandbox's state file.", hint="Pass another path to --state.")


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError, without changing the file, if another program or version of port-hook wrote the database."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables:
        raise StoreError(f"{path} is not a sandbox's state file.", hint="Pass another path to --state.")
    try:
        check_definitions(connection, (_TABLE,) if tables else ())
    except PlantedSchema as planted:
        raise StoreError(
            f"{path} has tables, columns, triggers or views that port-hook did not create: {planted}.",
            hint="Pass another path to --state.",
        ) from planted
    if version and version not in _READ:
        raise StoreError(
            f"{path} was written by another version of port-hook (format {version}).",
            hint="Update port-hook, or pass another path to --state.",
        )


def _create_table(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # this statement takes the exclusive lock
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute(_TABLE)
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if result_code(error) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        if "locked" in str(error):
            raise StoreError(
                f"{path} is open in another sandbox.", hint="Stop that sandbox, or pass another path to --state."
            ) from error
        raise StoreError(
            f"The state file {path} cannot be used: {error}.", hint="Pass another path to --state."
        ) from error
    except OSError as error:
        raise StoreError(
            f"The state file {path} cannot be used: {error.strerror or error}.", hint="Pass another path to --state."
        ) from error
    except RecursionError as error:
        raise StoreError(
            f"The state file {path} is damaged: its JSON is nested too deeply.",
            hint="Move it to another directory to start with an empty state.",
        ) from error
    except ValueError as error:
        raise StoreError(
            f"The state file {path} is damaged: {error}.",
            hint="Move it to another directory to start with an empty state.",
        ) from error
