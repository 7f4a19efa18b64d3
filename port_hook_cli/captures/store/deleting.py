"""Delete captures when a user prunes the store, and return the space to the file system.

A listener may write to the store at the same time, so pruning consists of small steps with pauses between them. While
no other program uses the store, the steps are larger, because a disk can sync only a few dozen steps per second.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from port_hook_cli.captures.database.opening import portable, result_code, without_waiting
from port_hook_cli.captures.store.trimming import REMEMBER, SIZE

# The number of captures that the first step deletes.
_FIRST_STEP = 200
_CHECKPOINT_PAGES = 500
# If less than a quarter of the file is free, or fewer pages than this, new captures will soon use the space.
_SHARE, _PAGES = 4, 256
# Copying this many bytes takes less than 50 ms, so pruning copies them even while another program uses the store.
_QUICK_BYTES = 2 * 1024 * 1024

_COUNT = "SELECT count(*) FROM captures"
_COUNT_OLDER = "SELECT count(*) FROM captures WHERE received_at < ?"
_COUNT_UP_TO = "SELECT count(*) FROM captures WHERE seq <= ?"
_LAST_TO_DELETE = "SELECT seq FROM captures ORDER BY seq DESC LIMIT 1 OFFSET ?"
_OLDER = "FROM captures WHERE received_at < ? ORDER BY received_at LIMIT ?"
_UP_TO = "FROM captures WHERE seq <= ? ORDER BY seq LIMIT ?"
_SPACE = """
    SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""


class _Pace(NamedTuple):
    """The limits of a step: `captures` captures and `bytes` bytes, in about `step_s` seconds.

    If a step takes less than half of `step_s`, the next step deletes twice as many captures. If it takes longer than
    `step_s`, the next step deletes half as many.
    """

    step_s: float
    captures: int
    bytes: int


_BESIDE_OTHERS = _Pace(0.02, 5_000, 8 * 1024 * 1024)
_ALONE = _Pace(0.5, 200_000, 256 * 1024 * 1024)
# A listener that finds the store locked tries again after 1, 3, 8, 18 and 33 ms. One of these attempts is in the pause
# after a short step. After a fifth of a second, SQLite tries again every 100 ms, so the pause after a long step is long
# enough for a program that has started to write in the meantime.
_PAUSE_S, _LONG_PAUSE_S = 0.016, 0.11


class PruneRule(NamedTuple):
    """The captures to delete: all from before `before_s` (seconds since the epoch), or all but the latest `keep`."""

    before_s: float | None = None
    keep: int = 0


class PruneCount(NamedTuple):
    """The number of captures that a rule deletes, and the number that it leaves."""

    deleted: int
    kept: int


def count_prunable(connection: sqlite3.Connection, rule: PruneRule) -> PruneCount:
    """Return the numbers that `delete_captures` would return now. Raises sqlite3.Error."""
    total = connection.execute(_COUNT).fetchone()[0]
    sql = _COUNT_UP_TO if rule.before_s is None else _COUNT_OLDER
    deleted = connection.execute(sql, [_limit(connection, rule)]).fetchone()[0]
    return PruneCount(deleted, total - deleted)


def delete_captures(
    connection: sqlite3.Connection, rule: PruneRule, *, pause: Callable[[float], object] = time.sleep
) -> PruneCount:
    """Delete captures, each step in its own transaction. Captures that arrive in the meantime stay.

    Between two steps, `pause` is called with the number of seconds in which other programs can write. If sqlite3.Error
    is raised, the captures that earlier steps deleted stay deleted.
    """
    # With a short log, no commit of a listener has to copy the log into the file.
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    chosen = _UP_TO if rule.before_s is None else _OLDER
    pace = _ALONE if _is_alone(connection) else _BESIDE_OTHERS
    before, limit, most, deleted = _changes_by_others(connection), _limit(connection, rule), _FIRST_STEP, 0
    while True:
        began = time.perf_counter()
        try:
            count = _delete_some(connection, chosen, limit, most, pace.bytes)
        except sqlite3.OperationalError as error:
            if pace is not _ALONE or result_code(error) != sqlite3.SQLITE_FULL:
                raise
            # A small step needs less space for its log.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            pace, most = _BESIDE_OTHERS, _FIRST_STEP
            continue
        if not count:
            return PruneCount(deleted, connection.execute(_COUNT).fetchone()[0])
        took, deleted = time.perf_counter() - began, deleted + count
        if took < pace.step_s / 2:
            most = min(2 * most, pace.captures)
        elif took > pace.step_s:
            most = max(most // 2, 1)
        pause(_LONG_PAUSE_S if pace is _ALONE and took > _BESIDE_OTHERS.step_s else _PAUSE_S)
        if pace is _ALONE and _changes_by_others(connection) != before:
            pace, most = _BESIDE_OTHERS, _FIRST_STEP


def _changes_by_others(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection commits."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def _delete_some(connection: sqlite3.Connection, chosen: str, limit: float, most: int, most_bytes: int) -> int:
    """Delete up to `most` of the chosen captures, oldest first, and return how many were deleted."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute(portable(f"SELECT seq, {SIZE} {chosen}"), [limit, most]).fetchall()
        count = _number_within(most_bytes, [size for _, size in found])
        connection.executemany(REMEMBER, [found[count - 1][:1]] if count else [])
        connection.execute(f"DELETE FROM captures WHERE seq IN (SELECT seq {chosen})", [limit, count])  # noqa: S608 - our own
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return count


def _number_within(most: int, sizes: list[int]) -> int:
    """Return how many of the first sizes add up to `most` or less: at least 1, or 0 if there are no sizes."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if total > most:
            return max(1, number)
    return len(sizes)


def _limit(connection: sqlite3.Connection, rule: PruneRule) -> float:
    """Return the time before which captures are deleted, or the number of the last capture to delete (0 for none)."""
    if rule.before_s is not None:
        return rule.before_s
    found = connection.execute(_LAST_TO_DELETE, [rule.keep]).fetchone()
    return found[0] if found else 0


def shrink(connection: sqlite3.Connection) -> bool:
    """Return free space to the file system, if there is enough of it. Raises sqlite3.Error.

    Returns False if the file keeps its size because another program uses the store or the disk is full.

    SQLite copies all remaining captures, and other programs cannot write during the copy. So the copy is made only if
    it is small, or if no other program has the store open. A file that can shrink in steps (`auto_vacuum`) would cost a
    listener a tenth more bytes of log for each request.
    """
    pages, free, page_size = connection.execute(_SPACE).fetchone()
    if free < _PAGES or free * _SHARE < pages:
        return True
    if (pages - free) * page_size > _QUICK_BYTES and not _is_alone(connection):
        return False
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if result_code(error) not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}:
            raise
        return False
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return True


def _is_alone(connection: sqlite3.Connection) -> bool:
    """Return whether no other connection has the store open. Only then can SQLite leave WAL mode."""
    try:
        with without_waiting(connection):
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        return False
    finally:
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
    return True
