"""Delete the captures that exceed a store's limits, in small steps.

Unverified captures are deleted before verified captures, and older captures before newer captures. A verified capture
is deleted only if verified captures alone exceed a limit, so a sender without the secret cannot push it out. The latest
unverified captures, up to a hundredth of each limit, stay even if verified captures fill the store. So the user can
still look at a recent failure.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

from port_hook_cli.captures.database.opening import portable
from port_hook_cli.frozen import frozen

_SHARE_OF_THE_LATEST = 100

# The maximum number of captures that one step deletes, which takes a few milliseconds.
STEP = 640
_STEP_BYTES = 16 * 1024 * 1024

# The approximate size of a capture. SQLite reads the bodies' lengths from the record header, not from the pages that
# hold the bodies.
SIZE = """
    octet_length(body) + coalesce(octet_length(delivery_body), 0) + coalesce(octet_length(response_body), 0)
    + octet_length(target) + octet_length(headers) + 2 * coalesce(octet_length(signature), 0) + 1024
"""

# Free pages don't count as bytes in use.
_STATE = """
    SELECT
        coalesce((SELECT min(seq) FROM captures), 0), coalesce((SELECT max(seq) FROM captures), 0),
        (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_COUNT = "SELECT count(*) FROM captures"
_CHANGES_OF_OTHERS = "PRAGMA data_version"
_LATEST_UNVERIFIED = portable(f"""
    SELECT seq, {SIZE} FROM captures INDEXED BY unverified WHERE is_verified = 0 ORDER BY seq DESC LIMIT ?
""")  # noqa: S608 - our own expression
_OLDEST_UNVERIFIED = portable(f"""
    SELECT seq, {SIZE} FROM captures INDEXED BY unverified WHERE is_verified = 0 AND seq < ? ORDER BY seq
""")  # noqa: S608 - as above
_OLDEST_VERIFIED = portable(f"""
    SELECT seq, {SIZE} FROM captures WHERE is_verified = 1 AND seq < ? ORDER BY seq
""")  # noqa: S608 - as above
_LATEST_VERIFIED = "SELECT seq FROM captures WHERE is_verified = 1 ORDER BY seq DESC LIMIT 1"
REMEMBER = """
    INSERT INTO deletions (only, latest_at) SELECT 1, received_at FROM captures WHERE seq = ?
    ON CONFLICT (only) DO UPDATE SET latest_at = max(latest_at, excluded.latest_at)
"""
"""Records the time of the last capture to delete. Run this before the deletion."""
_DROP_UNVERIFIED = "DELETE FROM captures INDEXED BY unverified WHERE is_verified = 0 AND seq <= ?"
_DROP_VERIFIED = "DELETE FROM captures WHERE is_verified = 1 AND seq <= ?"


@frozen
class Limits:
    """The maximum number of captures in a store, and of bytes in use in its file."""

    captures: int
    size: int


@frozen
class _Counted:
    """The number of captures in a store, and the version that shows whether another program has changed it since."""

    connection: sqlite3.Connection
    version: int
    latest: int
    count: int


@frozen
class _Spared:
    """The latest unverified captures, which stay: the number of the oldest one, and their count and size."""

    floor: int = 0
    count: int = 0
    size: int = 0


@frozen
class _Dropped:
    """The captures and bytes that a step deleted, and whether the step ended because it reached its limit."""

    count: int
    size: int
    is_full: bool


class Trimmer:
    """Deletes the captures that exceed a store's limits.

    A trimmer counts the captures only when another program has changed the store, because counting a million captures
    takes 30 ms.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counted: _Counted | None = None

    def step(self, connection: sqlite3.Connection) -> bool:
        """Delete at most `STEP` captures, and return whether there are more to delete. Raises sqlite3.Error.

        Run each step inside a transaction. If the transaction is rolled back, call `forget`.
        """
        limits = self._limits
        oldest, latest, used = connection.execute(_STATE).fetchone()
        if latest - oldest < limits.captures and used <= limits.size:
            return False
        version = connection.execute(_CHANGES_OF_OTHERS).fetchone()[0]
        count = self._count(connection, version, latest)
        gone = self._drop(connection, count, used)
        self._counted = _Counted(connection, version, latest, count - gone.count)
        return gone.is_full

    def forget(self) -> None:
        """Make the next step count the captures again, because captures were deleted or a step was rolled back."""
        self._counted = None

    def _count(self, connection: sqlite3.Connection, version: int, latest: int) -> int:
        known = self._counted
        if known is not None and known.connection is connection and known.version == version:
            return known.count + latest - known.latest
        return int(connection.execute(_COUNT).fetchone()[0])

    def _drop(self, connection: sqlite3.Connection, count: int, used: int) -> _Dropped:
        limits, spared = self._limits, _latest_unverified(connection, self._limits)
        too_many, too_large = count - limits.captures, used - limits.size
        unverified = _drop(connection, (_OLDEST_UNVERIFIED, _DROP_UNVERIFIED), spared.floor, too_many, too_large)
        if unverified.is_full or (unverified.count >= too_many and unverified.size >= too_large):
            return unverified
        # Only the spared unverified captures are left.
        too_many -= unverified.count + spared.count
        too_large -= unverified.size + spared.size
        latest = connection.execute(_LATEST_VERIFIED).fetchone()
        if latest is None or (too_many <= 0 and too_large <= 0):
            return unverified
        verified = _drop(connection, (_OLDEST_VERIFIED, _DROP_VERIFIED), latest[0], too_many, too_large)
        return replace(verified, count=unverified.count + verified.count)


def _latest_unverified(connection: sqlite3.Connection, limits: Limits) -> _Spared:
    spared = _Spared()
    most = max(1, limits.captures // _SHARE_OF_THE_LATEST)
    with closing(connection.execute(_LATEST_UNVERIFIED, [most])) as rows:
        for number, row_size in rows:
            if spared.count and spared.size + row_size > limits.size // _SHARE_OF_THE_LATEST:
                break
            spared = _Spared(number, spared.count + 1, spared.size + row_size)
    return spared


def _drop(connection: sqlite3.Connection, sql: tuple[str, str], floor: int, count: int, size: int) -> _Dropped:
    """Delete captures below `floor`, at least `count` captures and `size` bytes unless the step reaches its limit."""
    oldest, drop = sql
    last, gone_count, gone_size, is_full = None, 0, 0, False
    with closing(connection.execute(oldest, [floor])) as rows:
        while gone_count < count or gone_size < size:
            row = None if (is_full := gone_count >= STEP or gone_size >= _STEP_BYTES) else next(rows, None)
            if row is None:
                break
            last, gone_count, gone_size = row[0], gone_count + 1, gone_size + row[1]
    if last is not None:
        connection.execute(REMEMBER, [last])
        connection.execute(drop, [last])
    return _Dropped(gone_count, gone_size, is_full)
