"""Copy SQLite's log into the database while other programs write to the store, and restart the log.

SQLite restarts the log when the database contains all of it and nobody reads it. Under a steady load, that never
happens by itself, because other programs and threads commit more while a checkpoint copies. The log would grow until
SQLite makes a checkpoint inside a commit, and a response would wait for that commit.

See https://www.sqlite.org/wal.html and https://www.sqlite.org/c3ref/wal_checkpoint_v2.html.
"""

from __future__ import annotations

import sqlite3
import time

# port-hook doesn't restart a smaller log, because a restart costs three syncs.
_SMALL_BYTES = 256 * 1024
# A commit by another program takes less than a millisecond, but its next commit may follow immediately.
_ATTEMPTS, _RETRY_S = 30, 0.001


def checkpoint(connection: sqlite3.Connection) -> None:
    """Copy the log into the database, and restart the log unless others are reading it. Raises sqlite3.Error.

    `connection` must not wait for locks. Other connections can write while most of the log is copied. They wait a few
    milliseconds while the rest is copied.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    is_being_read = copied < pages
    if is_being_read or pages * page_size <= _SMALL_BYTES:
        return
    for _ in range(_ATTEMPTS):
        # This locks other writers out, and copies what they have committed since the first copy.
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if not is_busy:
            _begin(connection)
            return
        time.sleep(_RETRY_S)


def _begin(connection: sqlite3.Connection) -> None:
    """Write the first commit of the restarted log. SQLite syncs this commit, so no request has to wait for the sync."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")  # the version stays the same
    connection.execute("COMMIT")
