"""The SQL statements of the store, which take as few steps as possible.

At every step of a statement, the sqlite3 module releases the interpreter's lock, and then has to get it back from a
busy event loop. One INSERT of 32 rows is one step, and 32 INSERTs are 32 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from port_hook_cli.captures.database.conditions import (
    ARRIVED,
    FAILED,
    RESPONSE,
    TARGET_OF_THE_LAST_SESSION,
    Condition,
    Statement,
    bounded,
    joined,
    text_condition,
)
from port_hook_cli.captures.database.opening import portable
from port_hook_cli.captures.database.rows import (
    CAPTURE_COLUMNS,
    OUTCOME_COLUMNS,
    Row,
    capture_weight,
    outcome_weight,
    text_column,
)
from port_hook_cli.frozen import frozen
from port_hook_cli.invocations.models import Status

if TYPE_CHECKING:
    from port_hook_cli.invocations.statuses import Expectation

# 32 rows of 22 columns have fewer than 999 parameters, which is the limit in older builds of SQLite.
_ROWS_PER_STATEMENT = 32

# The sqlite3 module caches one statement for each number of rows, and a cached statement holds copies of the values
# that were last bound to it. So a statement has no more bytes than this, unless it has a single row. port-hook releases
# the copies of a larger row by executing its statement again without values.
MOST_BYTES = 128 * 1024

_COLUMNS = ", ".join(CAPTURE_COLUMNS)

_LONGEST_NAME = 1_000

# Any program may have written the store, so a value is read only if port-hook could have written one of that size.
BOUNDED = ", ".join(map(bounded, CAPTURE_COLUMNS))
"""The columns that `read_row` reads."""


def by_number(columns: str = BOUNDED) -> str:
    """Return the statement that finds a capture by its number."""
    return portable(f"SELECT {columns} FROM captures WHERE seq = ?")  # noqa: S608 - our own names


# INDEXED BY is faster here, because the index is small and contains every ID. The table also contains the bodies.
BY_PREFIX = portable(f"""
    SELECT seq, {bounded("id", _LONGEST_NAME)} FROM captures INDEXED BY arrivals
    WHERE substr(id, 1, ?) = ?
    ORDER BY id = ? DESC, received_at DESC LIMIT ?
""")  # noqa: S608 - as above

_RECEIVED = "received_at >= ? AND signature = ? AND replay_of IS NULL"
IS_RECEIVED = f"SELECT 1 FROM captures INDEXED BY arrivals WHERE {_RECEIVED} LIMIT 1"  # noqa: S608 - as above
MARK_REPLAY = f"UPDATE captures SET replay_of = ? WHERE {_RECEIVED}"  # noqa: S608 - as above

RECENT_SIGNATURES = portable(f"""
    SELECT {bounded("signature")}, received_at, received_at - age_s FROM captures INDEXED BY arrivals
    WHERE received_at >= ? AND signature IS NOT NULL AND status IN ('valid', 'reencoded') ORDER BY received_at
""")  # noqa: S608 - as above

SIGNED_BEFORE = portable("""
    SELECT seq FROM captures INDEXED BY arrivals
    WHERE received_at < ? AND signature = ? AND status IN ('valid', 'reencoded') ORDER BY received_at DESC LIMIT 1
""")

FORGET_SESSION = "DELETE FROM last_session"
RECORD_SESSION = "INSERT INTO last_session (forward_to) VALUES (?)"
LAST_TARGET = portable(TARGET_OF_THE_LAST_SESSION)

RECORD_ADDRESS = "INSERT OR REPLACE INTO addresses (address, used_at) VALUES (?, ?)"
FORGET_ADDRESSES = """
    DELETE FROM addresses WHERE address NOT IN (SELECT address FROM addresses ORDER BY used_at DESC LIMIT 100)
"""
ADDRESSES = portable(f"SELECT {bounded('address', _LONGEST_NAME)} FROM addresses LIMIT 200")  # noqa: S608 - as above

LATEST_DELETION = "SELECT CAST(latest_at AS REAL) FROM deletions"

KAFKA_POSITIONS = portable(
    f"SELECT {bounded('cluster', _LONGEST_NAME)}, {bounded('topic', _LONGEST_NAME)}, part, next_offset "  # noqa: S608 - as above
    "FROM kafka_positions"
)
KEEP_POSITION = "INSERT OR REPLACE INTO kafka_positions (cluster, topic, part, next_offset) VALUES (?, ?, ?, ?)"
SAVED_MESSAGES = portable(
    f"SELECT {bounded('kafka')} FROM captures INDEXED BY messages "  # noqa: S608 - as above
    "WHERE kafka IS NOT NULL ORDER BY seq DESC LIMIT ?"
)

RUNS_AMONG = "SELECT DISTINCT run_id FROM captures WHERE run_id IN (SELECT value FROM json_each(?))"

LATEST = "SELECT max(seq) FROM captures"
# The latest capture is never deleted, so its number is the count of all captures so far.
EVER_AND_NOW = "SELECT (SELECT max(seq) FROM captures), (SELECT count(*) FROM captures)"

NUMBER_AND_BODY = f"seq, {bounded('body')}"
OUTCOMES_OF_REPLAYS = portable(
    f"SELECT {bounded('replay_of')}, NOT {FAILED} FROM captures WHERE typeof(replay_of) <> 'null' ORDER BY seq"  # noqa: S608 - as above
)

_OPEN = "typeof(response) = 'null' AND typeof(delivery) = 'null' AND typeof(simulated) = 'null'"

_ONE_INSERT = f"INSERT INTO captures ({_COLUMNS}) SELECT {', '.join('?' * len(CAPTURE_COLUMNS))} WHERE ?"


def inserts(rows: Sequence[Row], *, small: bool) -> list[Statement]:
    """Return the statements that add `rows`. `small` means that the rows together have at most MOST_BYTES."""
    if small and len(rows) == 1:  # true for nearly every commit
        return [(_insert(1), rows[0])]
    steps: list[Statement] = []
    for part in _in_rows(rows) if small else _in_bytes(rows, capture_weight):
        if not small and len(part) == 1:
            steps += [(_ONE_INSERT, (*part[0], 1)), (_ONE_INSERT, (None,) * len(part[0]) + (0,))]
        else:
            steps.append((_insert(len(part)), list(chain.from_iterable(part))))
    return steps


def updates(outcomes: Sequence[Row], *, small: bool) -> list[Statement]:
    """Return the statements that add the `outcomes` to saved captures. `small` is as for `inserts`."""
    steps: list[Statement] = []
    for part in _in_rows(outcomes) if small else _in_bytes(outcomes, outcome_weight):
        steps.append((_update(len(part)), list(chain.from_iterable(part))))
        if not small and len(part) == 1:
            steps.append((_update(1), (None,) * len(part[0])))  # matches nothing: no capture has the ID NULL
    return steps


class Numbers(NamedTuple):
    """The allowed capture numbers: from `after` (exclusive) to `upto` (inclusive), in `among`, and not in `without`."""

    after: int | None = None
    upto: int | None = None
    among: tuple[int, ...] | None = None
    without: tuple[int, ...] = ()


ANY_NUMBER = Numbers()


@frozen(kw_only=True)
class StoreFilter:
    """A filter for the captures of a store. None, False and empty values match everything.

    `status` is the verdict's status, and `response` is a range of HTTP statuses. `failed` finds captures that the
    handler failed to process (`Capture.handler_failed`), or whose sender got a 4xx, a 5xx or no response. `accepted`
    finds verified captures that the listener did not reject. `since_s` (inclusive) and `until_s` (exclusive) are in
    seconds since the epoch. `text` is searched in the target, the headers and the body, and ignores the case of ASCII
    letters. `originals` finds requests that arrived from outside. If it is False, it finds only replays and the
    requests of `check`. `replay_of` finds the replays of one capture.
    """

    action: str | None = None
    status: Status | None = None
    run_id: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    with_run: bool = False
    text: str = ""
    response: Expectation | None = None
    failed: bool = False
    accepted: bool = False
    originals: bool | None = None
    replay_of: str | None = None
    numbers: Numbers = ANY_NUMBER
    without_outcome: bool = False


EVERYTHING = StoreFilter()


def search(
    wanted: StoreFilter,
    *,
    limit: int | None = None,
    skip: int = 0,
    columns: str = BOUNDED,
    oldest: bool = False,
) -> Statement:
    """Return the statement that finds captures after the first `skip`, latest first unless `oldest` is set."""
    where = joined(_conditions(wanted))
    order = "ASC" if oldest else "DESC"
    # A negative limit means no limit.
    sql = f"SELECT {columns} FROM captures WHERE {where.sql} ORDER BY seq {order} LIMIT ? OFFSET ?"  # noqa: S608 - names of our own
    return portable(sql), [*where.values, -1 if limit is None else limit, skip]


def _conditions(wanted: StoreFilter) -> Iterator[Condition]:
    for sql, value in (
        ("action = ?", text_column(wanted.action)),
        ("status = ?", wanted.status),
        ("run_id = ?", text_column(wanted.run_id)),
        ("replay_of = ?", text_column(wanted.replay_of)),
        ("received_at >= ?", wanted.since_s),
        ("received_at < ?", wanted.until_s),
    ):
        if value is not None:
            yield Condition(sql, (value,))
    yield from _number_conditions(wanted.numbers)
    for is_wanted, sql in (
        (wanted.with_run, "run_id IS NOT NULL"),
        (wanted.originals is True, f"({ARRIVED})"),
        (wanted.originals is False, f"NOT ({ARRIVED})"),
        (wanted.accepted, "is_verified IS 1"),
        (wanted.failed, FAILED),
        (wanted.without_outcome, _OPEN),
    ):
        if is_wanted:
            yield Condition(sql)
    if wanted.response is not None:
        yield Condition(f"({RESPONSE}) BETWEEN ? AND ?", (wanted.response.lowest, wanted.response.highest))
    if wanted.text:  # the slowest condition comes last
        yield text_condition(wanted.text)


def _number_conditions(numbers: Numbers) -> Iterator[Condition]:
    if numbers.after is not None:
        yield Condition("seq > ?", (numbers.after,))
    if numbers.upto is not None:
        yield Condition("seq <= ?", (numbers.upto,))
    if numbers.among is not None:
        yield Condition(f"seq IN ({_marks(numbers.among)})", numbers.among)
    if numbers.without:
        yield Condition(f"seq NOT IN ({_marks(numbers.without)})", numbers.without)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _in_rows(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[start : start + _ROWS_PER_STATEMENT] for start in range(0, len(rows), _ROWS_PER_STATEMENT)]


def _in_bytes(rows: Sequence[Row], weigh: Callable[[Row], int]) -> Iterator[Sequence[Row]]:
    """Yield `rows` in parts of at most MOST_BYTES. A larger row is a part of its own."""
    start, size = 0, 0
    for number, row in enumerate(rows):
        weight = weigh(row)
        if number > start and (number - start == _ROWS_PER_STATEMENT or size + weight > MOST_BYTES):
            yield rows[start:number]
            start, size = number, 0
        size += weight
    if rows:
        yield rows[start:]


@cache
def _insert(count: int) -> str:
    return f"INSERT INTO captures ({_COLUMNS}) VALUES {_values(len(CAPTURE_COLUMNS), count)}"  # noqa: S608 - as above


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
