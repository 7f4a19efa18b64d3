"""Delete old captures in small steps, because a listener may write to the store at the same time."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

# A few milliseconds of work; between two steps, a listener can commit.
_STEP = 100

_COUNT = "SELECT count(*) FROM captures"
_COUNT_OLDER = "SELECT count(*) FROM captures WHERE received_at < ?"
_COUNT_UP_TO = "SELECT count(*) FROM captures WHERE seq <= ?"
_LAST_TO_DELETE = "SELECT seq FROM captures ORDER BY seq DESC LIMIT 1 OFFSET ?"
_DELETE_OLDER = "DELETE FROM captures WHERE seq IN (SELECT seq FROM captures WHERE received_at < ? LIMIT ?)"
_DELETE_UP_TO = "DELETE FROM captures WHERE seq IN (SELECT seq FROM captures WHERE seq <= ? ORDER BY seq LIMIT ?)"


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
    """Return the moment before which captures are deleted, or the number of the last one that is; 0 for none."""
    if rule.before_s is not None:
        return rule.before_s
    found = connection.execute(_LAST_TO_DELETE, [rule.keep]).fetchone()
    return found[0] if found else 0
