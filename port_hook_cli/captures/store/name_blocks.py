"""Find the captures of a run, and the replays of a capture, without an index on the IDs.

Run IDs are random, so an index would touch another page for nearly every capture (see
`docs/contributing/decisions/0005-captures-survive-a-crash-not-a-power-cut.md`). Instead, one row (a block) describes
each thousand captures. It contains the last six characters of their run IDs and of the IDs of the captures that they
replay. If a block doesn't contain these characters of a name, none of its captures has that name. A listener adds the
blocks later, between requests. A search reads captures without a block one by one.
"""

from __future__ import annotations

import sqlite3

from port_hook_cli.captures.database.conditions import Condition

BLOCK = 1_000
"""The number of captures in a block. Reading this many captures takes a millisecond."""

_ENDS = "coalesce(substr(run_id, -6), '') || coalesce(substr(replay_of, -6), '')"
_STATE = "SELECT (SELECT max(upto) FROM name_blocks), (SELECT max(seq) FROM captures)"
_ADD = f"""
    INSERT INTO name_blocks (upto, since, ends)
    SELECT max(seq), ?, group_concat({_ENDS}, '')
    FROM (SELECT seq, run_id, replay_of FROM captures WHERE seq > ? ORDER BY seq LIMIT {BLOCK})
"""  # noqa: S608 - our own names

_FORGET_EMPTY = """
    DELETE FROM name_blocks WHERE NOT EXISTS (SELECT 1 FROM captures WHERE seq BETWEEN name_blocks.since AND upto)
"""
FORGET = (_FORGET_EMPTY, "DELETE FROM name_blocks WHERE upto > (SELECT coalesce(max(seq), 0) FROM captures)")
"""Deletes the blocks of deleted captures. New captures reuse numbers, so run this if the latest ones are deleted."""

ADD_NAME = "UPDATE name_blocks SET ends = ends || substr(?, -6) WHERE upto >= ?"
"""Adds a name to the block of a capture, and to all later blocks."""

# The plus sign prevents SQLite from building an index of all captures for this one statement.
_FIND = """
    seq IN (
        SELECT captures.seq
        FROM (
            SELECT since, upto FROM name_blocks WHERE instr(CAST(ends AS BLOB), CAST(substr(?, -6) AS BLOB))
            UNION ALL SELECT coalesce(max(upto), 0) + 1, 9223372036854775807 FROM name_blocks
        ) AS block CROSS JOIN captures ON captures.seq BETWEEN block.since AND block.upto
        WHERE +captures.{column} = ?
    )
"""


def named(column: str, name: str | bytes) -> Condition:
    """Return the condition that `run_id` or `replay_of` equals `name`, for a search through all captures."""
    return Condition(_FIND.format(column=column), (name, name))


def add_block(connection: sqlite3.Connection) -> bool:
    """Add a block for the next thousand captures, if there are that many. Return whether there are a thousand more.

    Blocks without remaining captures are deleted, so that blocks do not fill the store. Raises sqlite3.Error.
    """
    described, latest = connection.execute(_STATE).fetchone()
    described, latest = described or 0, latest or 0
    if latest - described >= BLOCK:
        connection.execute(_ADD, (described + 1, described))
        connection.execute(_FORGET_EMPTY)
    return bool(latest - described >= 2 * BLOCK)
