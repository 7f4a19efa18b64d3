"""Check that SQLite's log (`-wal`) contains the commits without a gap, and repair a truncated log.

SQLite appends to its log at the end that its index (`-shm`) records, without looking at the file. If another program
truncates the log, SQLite continues to write behind a gap. It then reads zeros instead of pages, and copies the zeros
into the database. After a crash, SQLite does not find the commits behind the gap.

Formats: https://www.sqlite.org/fileformat.html#the_write_ahead_log and https://www.sqlite.org/walformat.html.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from enum import Enum
from pathlib import Path

from port_hook_cli.captures.database.files import INDEX, LOG
from port_hook_cli.captures.database.opening import result_code

_HEADER, _FRAME = 32, 24
_SALTS = slice(16, 24)  # the position in the header of the log
_FRAME_SALTS = slice(8, 16)
_COMMIT = slice(4, 8)  # zero in each frame except the last of its transaction
_ONE_LARGE_PAGE = 1  # stands for 65,536 bytes
# The index contains two copies of a header, then the number of frames that checkpoints have copied into the database,
# and at a later offset the number of frames that they have begun to copy.
_INDEX_HEADER, _INDEX_BYTES = 96, 132
_COMMITTED, _COPIED, _BEING_COPIED = slice(16, 20), slice(96, 100), slice(128, 132)

if sys.platform == "win32":

    def _open(name: str) -> int:  # noqa: ARG001 - all systems share the signature
        return -1

    def _read(file: int, size: int, place: int) -> bytes:  # noqa: ARG001
        return b""

    def _overwrite(file: int, content: bytes) -> None:
        """Do nothing, because Windows does not need repairs."""

else:

    def _open(name: str) -> int:
        return os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _overwrite(file: int, content: bytes) -> None:
        os.pwrite(file, content, 0)

    _read = os.pread


# Closing a file releases every lock that this process holds on it, including SQLite's locks. So this module never
# closes an index that it opened to repair a truncated log.
_open_indexes: dict[tuple[int, int], int] = {}


class Gap(Enum):
    """The gap that `Log.repair` found."""

    NONE = "none"
    """No commit is missing."""

    END = "end"
    """The latest commits are missing. The store has the state before these commits."""

    WITHIN = "within"
    """Like END, but the database already contains pages of the missing commits, so it may be damaged."""


class Log:
    """The log of an open store. `end` is the end of the latest commit that port-hook has read, in bytes.

    On Windows, other programs cannot truncate a file that SQLite has open, so the log is not read and counts as
    complete.
    """

    def __init__(self, path: Path) -> None:
        self.end = 0
        self._path = path
        self._file = -1
        self._salts = b""
        self._frame = 0  # the size of a frame with its page, in bytes
        self._last = b""  # the header of the last frame before `end`
        with suppress(OSError):
            self._file = _open(f"{path}{LOG}")
        self._read_again()

    def close(self) -> None:
        """Close the log file. SQLite doesn't hold locks on the log."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def follow(self, *, added: bool) -> bool:
        """Read the new frames of the log, and return whether the log is complete up to the latest commit.

        `added` means that this process has committed changes since the last call.
        """
        if self._file < 0:
            return True
        header = _read(self._file, _HEADER, 0)
        if header[_SALTS] != self._salts:  # SQLite restarts the log when the database contains all of it
            self._begin(header)
        elif self._last and _read(self._file, _FRAME, self.end - self._frame) != self._last:
            return False
        before = self.end
        self._advance()
        return not added or self.end > before

    def repair(self, connection: sqlite3.Connection) -> Gap:
        """Truncate the log at the gap, let SQLite make a new index, and return which commits are missing.

        The commits before the gap remain. The caller passes an open `connection`, and has to close it afterwards.
        Raises sqlite3.Error if another program is writing, or OSError.
        """
        if self._file < 0:
            return Gap.NONE
        try:
            connection.execute("BEGIN IMMEDIATE")  # prevents other writes during the repair
        except sqlite3.Error as error:
            if result_code(error) == sqlite3.SQLITE_BUSY:
                raise
        try:
            return self._repair()
        finally:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def _repair(self) -> Gap:
        self._read_again()
        frames = (self.end - _HEADER) // self._frame if self._frame else 0
        index = _open_index(self._path)
        found = _read(index, _INDEX_BYTES, 0)
        committed, copied, being_copied = (
            int.from_bytes(found[part], sys.byteorder) for part in (_COMMITTED, _COPIED, _BEING_COPIED)
        )
        if committed <= frames:
            return Gap.NONE
        is_in_database = copied >= committed
        os.ftruncate(self._file, 0 if is_in_database else self.end)
        # SQLite makes a new index from the log, even if other programs have the store open.
        _overwrite(index, bytes(_INDEX_HEADER))
        if is_in_database:
            return Gap.NONE
        return Gap.WITHIN if max(copied, being_copied) > frames else Gap.END

    def _read_again(self) -> None:
        if self._file >= 0:
            self._begin(_read(self._file, _HEADER, 0))
            self._advance()

    def _begin(self, header: bytes) -> None:
        self._salts, self._last = header[_SALTS], b""
        page_size = int.from_bytes(header[8:12], "big")
        self._frame = _FRAME + (65536 if page_size == _ONE_LARGE_PAGE else page_size) if len(header) == _HEADER else 0
        self.end = len(header)

    def _advance(self) -> None:
        """Move `end` behind the last commit that follows it without a gap."""
        if not self._frame:
            return
        place, size = self.end, os.fstat(self._file).st_size
        while place + self._frame <= size:
            frame = _read(self._file, _FRAME, place)
            if frame[_FRAME_SALTS] != self._salts:
                return
            place += self._frame
            if any(frame[_COMMIT]):
                self.end, self._last = place, frame


def _open_index(path: Path) -> int:
    name = f"{path}{INDEX}"
    found = os.stat(name)  # noqa: PTH116 - takes a name, as in `files`
    identity = (found.st_dev, found.st_ino)
    if identity not in _open_indexes:
        _open_indexes[identity] = _open(name)
    return _open_indexes[identity]
