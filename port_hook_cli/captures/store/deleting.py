"""Delete captures: over a store's limits, or because a user prunes them.

Over the limits, unverified captures are dropped before verified ones, and the oldest first. A verified capture is
dropped only if verified captures alone exceed a limit, so a sender without the secret cannot push it out. The newest
unverified captures, up to a hundredth of each limit, stay even if verified captures fill the store, so that a user can
look at a recent failure.

Pruning works in small steps, because a listener may write to the store at the same time.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import NamedTuple

from port_hook_cli.captures.database.opening import portable
from port_hook_cli.frozen import frozen

_SHARE_OF_THE_NEWEST = 100

# A capture's approximate size: SQLite reads the bodies' lengths from the record header, not the pages that hold them.
_SIZE = """
    octet_length(body) + coalesce(octet_length(delivery_body), 0) + coalesce(octet_length(response_body), 0)
    + octet_length(target) + octet_length(headers) + 2 * coalesce(octet_length(signature), 0) + 1024
"""

# Cheap, and exact until captures are dropped out of order. The bytes in use exclude free pages.
_UPPER_BOUNDS = """
    SELECT
        coalesce((SELECT max(seq) FROM captures) - (SELECT min(seq) FROM captures) + 1, 0),
        (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_COUNT = "SELECT count(*) FROM captures"
_COUNT_UNVERIFIED = "SELECT count(*) FROM captures INDEXED BY unverified WHERE is_verified = 0"
_NEWEST_UNVERIFIED = portable(f"""
    SELECT seq, {_SIZE} FROM captures INDEXED BY unverified WHERE is_verified = 0 ORDER BY seq DESC LIMIT ?
""")  # noqa: S608 - an expression of our own
_OLDEST_UNVERIFIED = portable(f"""
    SELECT seq, {_SIZE} FROM captures INDEXED BY unverified WHERE is_verified = 0 AND seq < ? ORDER BY seq
""")  # noqa: S608 - as above
_OLDEST_VERIFIED = portable(f"""
    SELECT seq, {_SIZE} FROM captures WHERE is_verified = 1 AND seq < ? ORDER BY seq
""")  # noqa: S608 - as above
_NEWEST_VERIFIED = "SELECT seq FROM captures WHERE is_verified = 1 ORDER BY seq DESC LIMIT 1"
_DROP_UNVERIFIED = "DELETE FROM captures INDEXED BY unverified WHERE is_verified = 0 AND seq <= ?"
_DROP_VERIFIED = "DELETE FROM captures WHERE is_verified = 1 AND seq <= ?"

# A few milliseconds of work; between two steps, a listener can commit.
_STEP = 100

_COUNT_OLDER = "SELECT count(*) FROM captures WHERE received_at < ?"
_COUNT_UP_TO = "SELECT count(*) FROM captures WHERE seq <= ?"
_LAST_TO_DELETE = "SELECT seq FROM captures ORDER BY seq DESC LIMIT 1 OFFSET ?"
_DELETE_OLDER = "DELETE FROM captures WHERE seq IN (SELECT seq FROM captures WHERE received_at < ? LIMIT ?)"
_DELETE_UP_TO = "DELETE FROM captures WHERE seq IN (SELECT seq FROM captures WHERE seq <= ? ORDER BY seq LIMIT ?)"


@frozen
class Limits:
    """The most captures, and the most bytes, that a store keeps."""

    captures: int
    size: int


def trim(connection: sqlite3.Connection, limits: Limits) -> None:
    """Drop what exceeds the limits. Run it inside a transaction."""
    most, used = connection.execute(_UPPER_BOUNDS).fetchone()
    if most <= limits.captures and used <= limits.size:
        return
    ((count,), (unverified,)) = (connection.execute(sql).fetchone() for sql in (_COUNT, _COUNT_UNVERIFIED))
    floor, spared = _newest(connection, limits)
    gone = _drop(connection, (_OLDEST_UNVERIFIED, _DROP_UNVERIFIED), floor, count - limits.captures, used - limits.size)
    too_many, too_large = count - unverified - limits.captures, used - gone - spared - limits.size
    if too_many > 0 or too_large > 0:
        newest = connection.execute(_NEWEST_VERIFIED).fetchone()
        _drop(connection, (_OLDEST_VERIFIED, _DROP_VERIFIED), newest[0] if newest else 0, too_many, too_large)


def _newest(connection: sqlite3.Connection, limits: Limits) -> tuple[int, int]:
    """Return the number of the oldest unverified capture that is always kept, and the size of these captures."""
    floor, size = 0, 0
    most = max(1, limits.captures // _SHARE_OF_THE_NEWEST)
    with closing(connection.execute(_NEWEST_UNVERIFIED, [most])) as rows:
        for number, row_size in rows:
            if floor and size + row_size > limits.size // _SHARE_OF_THE_NEWEST:
                break
            floor, size = number, size + row_size
    return floor, size


def _drop(connection: sqlite3.Connection, sql: tuple[str, str], floor: int, count: int, size: int) -> int:
    """Drop captures below `floor` until `count` of them and `size` bytes are dropped; return the bytes dropped."""
    oldest, drop = sql
    last, gone_count, gone_size = None, 0, 0
    with closing(connection.execute(oldest, [floor])) as rows:
        while gone_count < count or gone_size < size:
            row = next(rows, None)
            if row is None:
                break
            last, gone_count, gone_size = row[0], gone_count + 1, gone_size + row[1]
    if last is not None:
        connection.execute(drop, [last])
    return gone_size


class PruneRule(NamedTuple):
    """What to delete: captures from before a moment (seconds since the epoch), or else all but the newest `keep`."""

    before_s: float | None = None
    keep: int = 0


class PruneCount(NamedTuple):
    """How many captures a rule deletes, and how many it leaves."""

    deleted: int
    kept: int


def count_prunable(connection: sqlite3.Connection, rule: PruneRule) -> PruneCount:
    """Return what `delete_captures` would do now."""
    total = connection.execute(_COUNT).fetchone()[0]
    sql = _COUNT_UP_TO if rule.before_s is None else _COUNT_OLDER
    deleted = connection.execute(sql, [_limit(connection, rule)]).fetchone()[0]
    return PruneCount(deleted, total - deleted)


def delete_captures(connection: sqlite3.Connection, rule: PruneRule) -> PruneCount:
    """Delete captures, each step in its own transaction. Captures that arrive meanwhile stay."""
    sql = _DELETE_UP_TO if rule.before_s is None else _DELETE_OLDER
    limit, deleted = _limit(connection, rule), 0
    while count := connection.execute(sql, [limit, _STEP]).rowcount:
        deleted += count
    return PruneCount(deleted, connection.execute(_COUNT).fetchone()[0])


def _limit(connection: sqlite3.Connection, rule: PruneRule) -> float:
    """Return the moment before which captures are deleted, or the number of the last capture to delete; 0 for none."""
    if rule.before_s is not None:
        return rule.before_s
    found = connection.execute(_LAST_TO_DELETE, [rule.keep]).fetchone()
    return found[0] if found else 0
