"""The SQL of the store, in as few steps as possible.

The sqlite3 module releases the interpreter's lock at every step of a statement, and then has to get it back from a busy
event loop. One INSERT of 32 rows is one step; 32 INSERTs are 32 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from port_hook_cli.captures.query import text_condition
from port_hook_cli.captures.rows import (
    CAPTURE_COLUMNS,
    OUTCOME_COLUMNS,
    Row,
    capture_weight,
    outcome_weight,
    text_column,
)
from port_hook_cli.invocations.models import Status

Statement = tuple[str, Sequence[Any]]

# 32 rows of 21 columns stay below 999, the number of parameters that older builds of SQLite allow.
ROWS_PER_STATEMENT = 32

# The sqlite3 module caches one statement for each number of rows, and a cached statement keeps copies of the values
# that were last bound to it. So a statement carries no more than this, unless it has a single row. The copies of a
# larger row are released by executing its statement again without values.
MOST_BYTES = 128 * 1024

COLUMNS = ", ".join(CAPTURE_COLUMNS)

BY_NUMBER = f"SELECT {COLUMNS} FROM captures WHERE seq = ?"  # noqa: S608 - names of our own

# INDEXED BY: the index is small and holds every id; the table holds the bodies as well.
BY_PREFIX = """
    SELECT seq, id FROM captures INDEXED BY arrivals
    WHERE substr(id, 1, ?) = ?
    ORDER BY id = ? DESC, received_at DESC LIMIT ?
"""

SEEN = "SELECT 1 FROM captures INDEXED BY arrivals WHERE received_at >= ? AND signature = ? LIMIT 1"

RECENT_SIGNATURES = """
    SELECT signature, received_at FROM captures INDEXED BY arrivals
    WHERE received_at >= ? AND signature IS NOT NULL AND status IN ('valid', 'reencoded') ORDER BY received_at
"""

FORGET_SESSION = "DELETE FROM last_session"
RECORD_SESSION = "INSERT INTO last_session (forward_to) VALUES (?)"
LAST_TARGET = "SELECT forward_to FROM last_session LIMIT 1"

# The newest capture is never dropped, so its number is how many there have ever been.
EVER_AND_NOW = "SELECT (SELECT max(seq) FROM captures), (SELECT count(*) FROM captures)"

_ONE_INSERT = f"INSERT INTO captures ({COLUMNS}) SELECT {', '.join('?' * len(CAPTURE_COLUMNS))} WHERE ?"


def inserts(rows: Sequence[Row], *, small: bool) -> list[Statement]:
    """Return the statements that add `rows`; `small` says that they have no more than MOST_BYTES together."""
    steps: list[Statement] = []
    for part in _in_rows(rows) if small else _in_bytes(rows, capture_weight):
        if not small and len(part) == 1:
            steps += [(_ONE_INSERT, (*part[0], 1)), (_ONE_INSERT, (None,) * len(part[0]) + (0,))]
        else:
            steps.append((_insert(len(part)), list(chain.from_iterable(part))))
    return steps


def updates(outcomes: Sequence[Row], *, small: bool) -> list[Statement]:
    """Return the statements that fill in `outcomes`; `small` is as for `inserts`."""
    steps: list[Statement] = []
    for part in _in_rows(outcomes) if small else _in_bytes(outcomes, outcome_weight):
        steps.append((_update(len(part)), list(chain.from_iterable(part))))
        if not small and len(part) == 1:
            steps.append((_update(1), (None,) * len(part[0])))  # no capture has the id NULL
    return steps


def search(
    *,
    action: str | None,
    status: Status | None,
    run_id: str | None,
    since_s: float | None,
    with_run: bool,
    limit: int | None,
    text: str = "",
) -> Statement:
    """Return the statement that finds captures, the newest first; those with `text`, unless it is empty."""
    conditions = {
        "action = ?": text_column(action),
        "status = ?": status,
        "run_id = ?": text_column(run_id),
        "received_at >= ?": since_s,
    }
    wanted = {condition: value for condition, value in conditions.items() if value is not None}
    found = text_condition(text) if text else None
    terms = [*wanted, *(["run_id IS NOT NULL"] if with_run else []), *([found.sql] if found else [])]
    where = f"WHERE {' AND '.join(terms)} " if terms else ""
    # A negative limit means no limit.
    sql = f"SELECT {COLUMNS} FROM captures {where}ORDER BY seq DESC LIMIT ?"  # noqa: S608 - names of our own
    return sql, [*wanted.values(), *(found.values if found else ()), -1 if limit is None else limit]


def _in_rows(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        yield rows[start : start + ROWS_PER_STATEMENT]


def _in_bytes(rows: Sequence[Row], weigh: Callable[[Row], int]) -> Iterator[Sequence[Row]]:
    """Yield `rows` in parts of no more than MOST_BYTES each, or of one row."""
    start, size = 0, 0
    for number, row in enumerate(rows):
        weight = weigh(row)
        if number > start and (number - start == ROWS_PER_STATEMENT or size + weight > MOST_BYTES):
            yield rows[start:number]
            start, size = number, 0
        size += weight
    if rows:
        yield rows[start:]


@cache
def _insert(count: int) -> str:
    return f"INSERT INTO captures ({COLUMNS}) VALUES {_values(len(CAPTURE_COLUMNS), count)}"  # noqa: S608 - as above


@cache
def _update(count: int) -> str:
    received_at, capture_id, *filled = (f"kept.column{number + 1}" for number in range(len(OUTCOME_COLUMNS)))
    assignments = ", ".join(f"{name} = {value}" for name, value in zip(OUTCOME_COLUMNS[2:], filled, strict=True))
    return (
        f"UPDATE captures SET {assignments} FROM (VALUES {_values(len(OUTCOME_COLUMNS), count)}) AS kept "  # noqa: S608 - as above
        f"WHERE captures.received_at = {received_at} AND captures.id = {capture_id}"
    )


def _values(columns: int, rows: int) -> str:
    row = f"({','.join('?' * columns)})"
    return ",".join([row] * rows)
