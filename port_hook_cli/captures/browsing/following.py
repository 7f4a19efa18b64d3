"""An open store that follows its file: new captures, new outcomes, and a store that replaces the file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

from port_hook_cli.captures.browsing.query import PAYLOAD_FACT, decoded, payload_fact
from port_hook_cli.captures.database.files import Files, regrow
from port_hook_cli.captures.database.opening import Access, connect, store_problem
from port_hook_cli.captures.database.schema import LATEST
from port_hook_cli.errors import StoreError

# Only the latest captures are checked for an outcome, because some captures never get one.
_MOST_OPEN = 2_000
_IS_OPEN = "typeof(response) = 'null' AND typeof(delivery) = 'null'"
_OPEN = f"SELECT seq FROM captures WHERE seq > ? AND {_IS_OPEN}"  # noqa: S608 - our own names
_DONE = f"SELECT seq FROM captures WHERE seq IN (SELECT value FROM json_each(?)) AND NOT ({_IS_OPEN})"  # noqa: S608
# Any program may have written an ID.
_ID = "substr(CAST(id AS BLOB), 1, 200)"
_LATEST = f"SELECT seq, {_ID} FROM captures ORDER BY seq DESC LIMIT 1"  # noqa: S608
_BY_NUMBER = f"SELECT {_ID} FROM captures WHERE seq = ?"  # noqa: S608


class StoreChange(NamedTuple):
    """What changed in a store since the last check.

    `latest` is the number of the latest capture, and `has_new` means that captures arrived. `changed` are the numbers
    of captures that now have an outcome. `is_reset` means that the store was replaced, or its latest captures deleted.
    """

    latest: int = 0
    has_new: bool = False
    changed: tuple[int, ...] = ()
    is_reset: bool = False


class StorePoint(NamedTuple):
    """The state of a store at some time: how often it was replaced, its version, and the number of its latest capture.

    Version -1: not read yet.
    """

    resets: int = 0
    version: int = -1
    latest: int = 0


class FollowedDatabase:
    """The open file of a store that may be changed, replaced or removed at any time.

    Several threads may use it, one at a time. All methods raise StoreError or sqlite3.Error.
    """

    warnings: tuple[str, ...] = ()
    _connection: sqlite3.Connection
    _files: Files
    _latest: _Latest
    _open_seqs: set[int]
    _version: int

    def __init__(self, path: Path) -> None:
        self._path = path
        self._resets = 0
        self._open()

    @property
    def connection(self) -> sqlite3.Connection:
        """The current connection.

        Restores the size of an emptied `-shm` file first. Reading an emptied file would kill the process (SIGBUS).
        """
        found = Files.at(self._path)
        if found.index_id is not None and found.index_size < self._files.index_size:
            regrow(self._path)
        return self._connection

    @property
    def point(self) -> StorePoint:
        """The state of the store at the last check."""
        return StorePoint(self._resets, self._version, self._latest.seq)

    def catch_up(self) -> StoreChange:
        """Check the store for changes, and return them."""
        is_reset = self._reopen_if_replaced()
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        known, changed = self._latest.seq, set[int]()
        if version != self._version:
            self._reject_newer()
            changed = _seqs(self._connection, _DONE, json.dumps(sorted(self._open_seqs)))
            self._latest = _latest_of(self._connection)
            oldest = self._latest.seq - _MOST_OPEN
            opened = _seqs(self._connection, _OPEN, max(known, oldest))
            self._open_seqs = {seq for seq in self._open_seqs - changed if seq > oldest} | opened
            self._version = version
        return StoreChange(self._latest.seq, self._latest.seq > known, tuple(sorted(changed)), is_reset)

    def _open(self) -> None:
        """Open the store. If this fails, the previous connection stays open."""
        files = Files.at(self._path)
        connection = connect(self._path, Access.SHOW).connection
        connection.text_factory = decoded
        try:
            connection.create_function(PAYLOAD_FACT, 3, payload_fact, deterministic=True)
            self._latest = _latest_of(connection)
            self._open_seqs = _seqs(connection, _OPEN, self._latest.seq - _MOST_OPEN)
        except sqlite3.Error as error:
            connection.close()
            raise store_problem(error, self._path) from error
        self._connection = connection
        self._files = _latest_files(files, Files.at(self._path))
        self._version = -1
        self._resets += 1

    def _reopen_if_replaced(self) -> bool:
        """Open the store again if it was replaced or its latest captures were deleted. Return whether it was opened."""
        found = Files.at(self._path)
        if self._is_same(found) and not self._is_cleared():
            self._files = _latest_files(self._files, found)
            return False
        old = self._connection
        self._open()
        old.close()
        return True

    def _reject_newer(self) -> None:
        """Raise StoreError if a newer port-hook has changed the store's tables since it was opened."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > LATEST:
            raise StoreError(
                f"{self._path} has been changed by a newer port-hook (schema {version}).",
                hint="Start the inspector of that version.",
            )

    def _is_same(self, found: Files) -> bool:
        known = self._files
        pairs = ((known.log_id, found.log_id), (known.index_id, found.index_id))
        return known.store_id == found.store_id and all(a == b or a is None or b is None for a, b in pairs)

    def _is_cleared(self) -> bool:
        """Return whether the latest captures were deleted. Later captures reuse their numbers, but not their IDs."""
        if _latest_of(self.connection).seq < self._latest.seq:
            return True
        found = self._connection.execute(_BY_NUMBER, [self._latest.seq]).fetchone()
        return found is not None and found[0] != self._latest.id


class _Latest(NamedTuple):
    """The number and the ID of the latest capture of a store."""

    seq: int = 0
    id: bytes | None = None


def _latest_of(connection: sqlite3.Connection) -> _Latest:
    found = connection.execute(_LATEST).fetchone()
    return _Latest(*found) if found else _Latest()


def _seqs(connection: sqlite3.Connection, sql: str, value: int | str) -> set[int]:
    return {seq for (seq,) in connection.execute(sql, [value])}


def _latest_files(known: Files, found: Files) -> Files:
    """Return the known state of a store's files. SQLite creates the files next to the store only when it needs them."""
    return found._replace(log_id=found.log_id or known.log_id, index_id=found.index_id or known.index_id)
